"""Runs that were trained one by one are compared as those of a sweep."""

import pytest
import torch
from torch import nn

import gradus
from gradus import InputError
from gradus.cli import main
from gradus.figures.sweep_figures import pictures

METHODS = {"SGD": torch.optim.SGD, "Adam": torch.optim.Adam}


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    monkeypatch.setattr("gradus.recording.recorder.write_curve", lambda folder, run: None)


def loop(folder, test_loss, method="SGD", lr=0.1, fails=None, **config):
    model = nn.Linear(2, 1)
    optimizer = METHODS[method](model.parameters(), lr=lr)
    with gradus.record(folder, optimizer, model, config=config) as run:
        for epoch in (1, 2):
            for loss in (3.0, 2.0):
                optimizer.step()
                run.log(loss / epoch, batch=8)
            run.evaluate(epoch, test_loss=test_loss / epoch)
        if fails is not None:
            raise fails
    return folder


def test_options_that_differ_tell_runs_apart(tmp_path):
    folders = [
        loop(tmp_path / "a", 0.5, width=4, seed=0),
        loop(tmp_path / "b", 0.4, lr=0.01, width=4, seed=0),
        loop(tmp_path / "c", 0.7, lr=0.01, width=8, seed=0),
        loop(tmp_path / "d", 0.3, lr=0.01, width=4, seed=1),
    ]
    ranked = gradus.compare(*folders).ranking().to_pylist()
    assert [(r["lr"], r["config.width"], r["runs"], r["test_loss"]) for r in ranked] == [
        (0.01, 4, 2, pytest.approx(0.175)), (0.1, 4, 1, 0.25), (0.01, 8, 1, 0.35),
    ]  # fmt: skip


def test_runs_that_nothing_tells_apart_have_their_names(tmp_path):
    found = gradus.compare(loop(tmp_path / "a", 0.5), loop(tmp_path / "b", 0.4))
    assert [row["name"] for row in found.ranking().to_pylist()] == ["b", "a"]
    assert found.name == "a and b"


def test_runs_of_several_losses_are_compared_by_what_their_test_parts_say(tmp_path):
    x = torch.arange(40.0)[:, None] / 40
    runs = [
        gradus.train((x, 3 * x), loss=loss, model="linear", epochs=2, lr=0.1, split_seed=0)
        for loss in ("mse", "l1")
    ]
    for run, name in zip(runs, "ab", strict=True):
        run.save(tmp_path / name, drawn=False)
    found = gradus.compare(tmp_path / "a", tmp_path / "b")
    with pytest.raises(
        InputError, match=r"--loss varies, .*: take test_r2 \| test_rmse \| test_mae"
    ):
        found.ranking()
    with pytest.raises(InputError, match="measure validation_rmse: none of these runs has one"):
        found.ranking("validation_rmse")
    best = min(runs, key=lambda run: run.summary["figures"]["test"]["rmse"]["value"])
    assert found.ranking("test_rmse")["loss"][0].as_py() == best.spec.loss


def test_a_loop_that_was_left_is_no_candidate(tmp_path):
    with pytest.raises(RuntimeError):
        loop(tmp_path / "a", 0.1, fails=RuntimeError("gone"))
    found = gradus.compare(tmp_path / "a", loop(tmp_path / "b", 0.4, method="Adam"))
    (first, second) = found.ranking().to_pylist()
    assert (first["method"], second["rank"], second["stopped"]) == ("Adam", None, 1)


def test_loops_beside_runs_of_gradus(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    spec = gradus.RunSpec(model="linear", epochs=2, log_every=30)
    gradus.train(spec, out="own")
    loop("loop", 0.5, method="Adam")
    found = gradus.compare("own", gradus.open_run("loop"))
    assert found.runs["method"].to_pylist() == ["sgd", "Adam"]
    assert {picture.name for picture in pictures(found)} >= {"final", "curves", "importance"}
    monkeypatch.setattr("gradus.figures.style.save", lambda figure, path: path)  # takes long
    with pytest.raises(SystemExit) as ended:
        main(["compare", "own", "loop"])
    assert not ended.value.code
    said = capsys.readouterr().out
    assert "Adam" in said
    assert "comparison/curves.png" in said


def test_runs_in_memory_that_share_a_title_are_counted():
    runs = [gradus.train("digits", model="linear", epochs=1, seed=seed) for seed in (0, 0, 1)]
    names = gradus.compare(*runs).runs["run"].to_pylist()
    assert names == [f"{runs[0].title} ({n})" for n in (1, 2, 3)]


def test_what_cannot_be_compared_is_one_line(tmp_path, capsys):
    loop(tmp_path / "a", 0.5)
    loop(tmp_path / "other/a", 0.5)
    for runs, message in (
        ((tmp_path / "a",), "two runs or more are compared, not 1"),
        ((tmp_path / "a", tmp_path / "other/a"), "have one name; rename a folder"),
        ((tmp_path / "a", tmp_path / "none"), "holds no record of a run"),
    ):
        with pytest.raises(InputError, match=message):
            gradus.compare(*runs)
    with pytest.raises(SystemExit):
        main(["compare", str(tmp_path / "a")])
    assert "is one run; give several to compare, or a sweep" in capsys.readouterr().err
