"""`gradus figures` and `gradus landscape` as a user meets them."""

import sys

import numpy as np
import pytest
from PIL import Image

import gradus
from gradus.cli import main
from gradus.figures.subject.catalogue import CATALOGUE

MINE = """\
import torch
def f(w):
    return (w[0] - 1) ** 2 + 3 * w[1] ** 2
def vector(w):
    return w
def number(w):
    return 3.0
def broken(w):
    raise ValueError("no\\nreason")
def late(w):
    if w[0] > -3:
        raise ValueError("late")
    return w[0] ** 2
def stairs(w):
    return w[0] ** 2 if w[0] > 1 else torch.tensor(1.0, dtype=w.dtype)
value = 3
"""


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    """Run the command line in an empty folder: its exit code, and the lines it wrote."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.delitem(sys.modules, "mine", raising=False)

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        written = capsys.readouterr()
        return ended.value.code or 0, written.out, written.err

    return run


def drawn(path):
    """Whether a picture is more than its paper."""
    return np.asarray(Image.open(path).convert("L")).std() > 5


def test_pictures_are_written_where_they_are_wanted_and_named(call, tmp_path):
    code, out, err = call("figures", "newton", "--format", "png,svg,pdf", "--out", "a/b")
    assert (code, err) == (0, "")
    names = [f"a/b/newton.{kind}" for kind in ("png", "svg", "pdf")]
    assert out.splitlines() == names
    assert drawn(tmp_path / names[0])
    assert "<svg" in (tmp_path / names[1]).read_text()
    assert (tmp_path / names[2]).read_bytes().startswith(b"%PDF")
    code, out, _ = call("figures", "losses", "newton")
    assert (code, out.split()) == (0, ["figures/losses.png", "figures/newton.png"])


@pytest.mark.parametrize("function", ["x**2 + 10*y**2", "mine:f", "mine:stairs", "3", "abs(x)/x"])
def test_a_function_of_ones_own(call, tmp_path, function):
    options = ["--function", function, "--box", "-2,3,-1,2", "--start", "2,1", "--lr", "0.02"]
    code, out, err = call("figures", "paths", *options)
    assert (code, out, err) == (0, "figures/paths.png\n", "")
    assert drawn(tmp_path / "figures/paths.png")


def test_a_landscape_by_its_name_and_a_start_of_ones_own(call):
    code, out, _ = call(
        "figures", "adaptive", "--landscape", "saddle", "--start", "1,1", "--lr", "0.1"
    )
    assert (code, out) == (0, "figures/adaptive.png\n")


def test_a_film(call, tmp_path, monkeypatch):
    from gradus.figures.subject import animation

    monkeypatch.setattr(animation, "FRAMES", 2)
    code, out, _ = call("figures", "newton", "--format", "gif,png")
    assert code == 0
    assert out.split() == ["figures/newton.png", "figures/newton.gif"]
    with Image.open(tmp_path / "figures/newton.gif") as film:
        assert film.n_frames == 2


def test_the_pictures_of_a_run_and_its_landscape(call, tmp_path):
    options = ["--hidden", "6", "--lr", "0.05", "--epochs", "2", "--quiet"]
    call("train", *options, "--out", "runs/one")
    call("train", *options, "--method", "adam", "--out", "runs/two")
    code, out, _ = call("figures", "runs/one")
    of_run = ["one", "one-confusion", "one-ranking", "one-calibration"]
    assert (code, out.split()) == (0, [f"figures/{name}.png" for name in of_run])
    quick = ["--grid", "4", "--examples", "100"]
    code, out, _ = call("landscape", "runs/one", *quick)
    held, distance, path = out.splitlines()
    assert code == 0
    assert "a random walk with moves of the same lengths:" in held
    assert "off the plane" in distance
    assert path == "runs/one/landscape.png"
    assert drawn(tmp_path / path)
    assert gradus.open_run("runs/one").status == "finished"
    both = ["runs/one", "runs/two", *quick, "--format", "svg", "--directions", "random"]
    code, out, _ = call("landscape", *both)
    assert (code, out.splitlines()[-1]) == (0, "figures/landscape.svg")


def test_the_pictures_of_a_sweep(call):
    call("sweep", "--lr", "0.1,0.5", "--model", "linear", "--epochs", "1", "--name", "s", "--quiet")
    code, out, _ = call("figures", "s")
    assert code == 0
    assert {"figures/s-curves.png", "figures/s-final.png"} <= set(out.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["momentm"],
            "momentm: no picture of this name (did you mean momentum?); choose derivative",
        ),
        (["paths"], 'paths: needs --function "x**2 + 10*y**2" or --landscape ravine|'),
        (["adaptive", "--landscape", "beal"], "--landscape beal: unknown (did you mean beale?)"),
        (["newton", "--lr", "3"], "--lr: belongs to adaptive and paths; name one of them"),
        (["losses", "--format", "gif"], "--format gif: losses does not move; these do: descent"),
        (["losses", "--format", "jpg"], "--format jpg: unknown; choose png, svg"),
        (["losses", "--format", ","], "--format: give one of png"),
        (
            ["paths", "--function", "x+open('f')"],
            "--function \"x+open('f')\": \"open('f')\" is not",
        ),
        (["paths", "--function", "log(x)"], "--function log(x): is nan where methods begin, at -4"),
        (["paths", "--function", "x", "--landscape", "beale"], "--function: stands beside"),
        (["paths", "--function", "x", "--box", "1,2,3"], "--box 1,2,3: give 4 numbers"),
        (["paths", "--function", "x", "--box", "2,1,0,1"], "--box 2,1,0,1: give X0,X1,Y0,Y1 with"),
        (["paths", "--function", "x", "--start", "9,9"], "--start 9,9: lies outside what is drawn"),
        (["paths", "--function", "x", "--lr", "-1"], "--lr -1: give a number above 0"),
        (["adaptive", "--box", "0,1,0,1"], "--box 0,1,0,1: belongs to --function"),
        (["paths", "--function", "mine:g"], "--function mine:g: mine has no function 'g'"),
        (
            ["paths", "--function", "mine:value"],
            "--function mine:value: mine has no function 'value'",
        ),
        (["paths", "--function", "mine:vector"], "--function mine:vector: gives shape (2,), but"),
        (["paths", "--function", "mine:number"], "--function mine:number: gives float, but"),
        (["paths", "--function", "mine:broken"], "failed at -4, 3.5: ValueError: no"),
        (["paths", "--function", "mine:late", "--lr", "0.5"], "ValueError: late"),
        (["paths", "--function", "x + 1" + "0" * 400], "has a number that is too large"),
        (["paths", "--function", "nowhere:f"], "--function nowhere:f: no module nowhere in"),
    ],
)
def test_wrong_input_is_one_line_and_nothing_is_written(call, tmp_path, arguments, message):
    code, out, err = call("figures", *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err
    assert not (tmp_path / "figures").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: is not there; give the folder of a run, as runs/digits-sgd-1"),
        (["."], ".: holds no record of a run"),
        (["nowhere", "--format", "gif"], "--format gif: unknown; choose png, svg, pdf"),
    ],
)
def test_a_landscape_needs_runs(call, arguments, message):
    code, out, err = call("landscape", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"gradus: {message}")


def test_in_python_pictures_have_names():
    assert gradus.figures.names() == tuple(CATALOGUE)
    with pytest.raises(gradus.InputError, match="did you mean newton"):
        gradus.figures.draw("newtn")
