"""Every command prints what its terminal or pipe can show, and ends as it does in UTF-8."""

import ast
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

import gradus
from gradus.cli import main
from gradus.cli.streams import ASCII_FORMS, write_ascii_forms

TINY = ["--model", "linear", "--epochs", "1", "--log-every", "10"]
POOR = ["ascii", "latin-1", "cp1252"]


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """A folder with a run and a sweep, trained with a pipe that takes ASCII alone."""
    folder = tmp_path_factory.mktemp("records")
    code, out, _ = output("ascii", "train", *TINY, "--out", folder / "run")
    assert (code, "balanced accuracy" in out) == (0, True)
    values = ["--lr", "0.1,1", "--out", folder / "sweeps", "--name", "two", "--workers", "1"]
    code, out, _ = output("ascii", "sweep", *TINY, *values)
    assert (code, "gradus compare" in out) == (0, True)
    return folder


def output(encoding, *arguments):
    """Exit code and all that is written, of streams that refuse what they cannot encode."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding, errors="strict") for _ in range(2)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "stdout", streams[0])
        patched.setattr(sys, "stderr", streams[1])
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
    for stream in streams:
        stream.flush()
    written = [stream.buffer.getvalue().decode(encoding) for stream in streams]
    return ended.value.code or 0, *written


@pytest.mark.parametrize("encoding", POOR)
def test_help_names_greek_letters(encoding):
    code, out, err = output(encoding, "train", "--help")
    assert (code, err) == (0, "")
    assert "regulariser Omega" in out
    assert "lambda, the weight of the penalty" in out
    assert "\\" not in out


@pytest.mark.parametrize("encoding", POOR)
def test_a_run_is_trained_and_its_curve_drawn(encoding, tmp_path):
    code, out, err = output(encoding, "train", *TINY, "--out", tmp_path / "run")
    assert code == 0
    size = "1x8x8" if encoding == "ascii" else "1×8×8"
    assert f"{size} images" in err
    lines = out.splitlines()
    top, bottom = (at for at, line in enumerate(lines) if line.startswith("+-"))
    rows = lines[top + 1 : bottom]
    assert lines[top].split(" ")[0] == lines[bottom].split(" ")[0]
    assert all(line[0] == "|" == line[len(lines[top].rstrip()) - 1] for line in rows)
    assert any(set(line) & set("':.") for line in rows)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["sweep", "--help"],
        ["compare", "sweeps/two"],
        ["report", "sweeps/two"],
        ["figures", "run", "--out", "drawn"],
        ["landscape", "run", "--grid", "2", "--examples", "10"],
        ["figures", "paths", "--function", "x**2", "--start", "9,9"],
        ["train", "α.csv", "--target", "β"],
        ["train", "--nosüch", "1"],
        ["sweep", "--resume", "sweeps/two"],
    ],
    ids=" ".join,
)
def test_every_command_ends_as_in_utf8(records, arguments, monkeypatch):
    monkeypatch.chdir(records)
    code, *whole = output("utf-8", *arguments)
    poor_code, *poor = output("ascii", *arguments)
    assert poor_code == code
    for one, other in zip(whole, poor, strict=True):
        assert "\ufffd" not in other
        assert len(other.splitlines()) == len(one.splitlines())


def test_the_locale_of_a_bare_machine():
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONIOENCODING"}
    environment |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "gradus", "train", "--help"]
    ended = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert "regulariser Omega" in ended.stdout.decode("ascii")


def test_a_path_that_is_no_text_is_shown_escaped():
    stream = io.TextIOWrapper(io.BytesIO(), "utf-8")
    write_ascii_forms(stream)
    stream.write(os.fsdecode("r\N{LATIN SMALL LETTER U WITH DIAERESIS}n".encode("latin-1")) + " α")
    stream.flush()
    assert stream.buffer.getvalue().decode() == "r\\udcfcn α"


def test_whatever_gradus_says_has_an_ascii_form():
    lacking = {}
    for path in Path(gradus.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                odd = {c for c in node.value if not c.isascii()} - ASCII_FORMS.keys()
                if odd and id(node) not in prose:
                    lacking[path.name] = odd
    assert lacking == {}


def test_ascii_forms_are_ascii_and_keep_frames_in_their_columns():
    assert all(form.isascii() and form for form in ASCII_FORMS.values())
    assert all(len(ASCII_FORMS[c]) == 1 for c in "│─┌┐└┘├┤┬┴┼▘▝▀▖▗▄▌▐▞▚▛▜▙▟█")
