"""What was recorded before there was a validation part opens, and goes on with the same examples.

The records stand in ``before_validation``: linear models on the digits, written by the code then.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch

import gradus
from gradus.data.loading import load
from gradus.runs import earlier
from gradus.runs.spec import RunSpec, run_id
from gradus.sweep.compare import ranking
from gradus.sweep.space import runs_of

BEFORE = Path(__file__).parent / "before_validation"


@pytest.fixture
def recorded(tmp_path):
    shutil.copytree(BEFORE, tmp_path / "old")
    return tmp_path / "old"


def test_a_run_opens_with_the_split_that_its_seed_drew(recorded):
    run = gradus.open_run(recorded / "run")
    written = json.loads((recorded / "run" / "run.json").read_text())
    assert (run.spec.seed, run.spec.split_seed, run.spec.validation_fraction) == (3, 3, 0.0)
    final = written["final"]
    assert run.evaluation["running_train_loss"][-1].as_py() == final["train_loss"]
    assert run.evaluation["train_loss"].null_count == run.evaluation.num_rows
    assert run.evaluation["test_loss"][-1].as_py() == final["test_loss"]
    # On the examples that the seed drew, the recorded model is as good as was recorded.
    x, y = load("digits", split_seed=3, validation_fraction=0).test.batch()
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(run.model(x), y).item()
    assert loss == pytest.approx(final["test_loss"], rel=1e-6)


def test_a_run_trained_again_from_its_record_is_the_same(recorded):
    run = gradus.open_run(recorded / "run")
    again = gradus.train(run.spec)
    assert again.history["loss"].to_pylist() == pytest.approx(run.history["loss"].to_pylist())
    for name in ("running_train_loss", "test_loss", "test_accuracy"):
        assert again.evaluation[name].to_pylist() == pytest.approx(run.evaluation[name].to_pylist())


def test_a_run_that_was_broken_off_goes_on_to_the_same_end(recorded):
    done = gradus.resume(recorded / "interrupted")
    whole = gradus.open_run(recorded / "run")
    assert done.status == "finished"
    assert done.history["loss"].to_pylist() == pytest.approx(whole.history["loss"].to_pylist())
    assert done.summary["final"]["test_loss"] == pytest.approx(
        whole.summary["final"]["test_loss"], rel=1e-6
    )


def test_a_spec_file_of_the_user_is_no_record(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("seed = 3\n")
    assert RunSpec.read_file(path, {}).split_seed == 0
    assert RunSpec.read_file(BEFORE / "run" / "run.json", {}).split_seed == 3


def test_a_sweep_opens_compares_and_lacks_nothing(recorded):
    sweep = gradus.open_sweep(recorded / "sweep")
    wanted = runs_of(sweep.spec)
    assert [(run.seed, run.split_seed) for run in wanted] == [(0, 0), (1, 1)] * 2
    assert {run.validation_fraction for run in wanted} == {0.0}
    assert set(sweep.runs["run"].to_pylist()) == set(map(run_id, wanted))
    assert sweep.spec.measure == "test_loss"
    best = sweep.best()
    assert ranking(sweep)["lr"][0].as_py() == best.spec.lr
    assert best.summary["final"]["test_loss"] in sweep.runs["test_loss"].to_pylist()
    evaluation = sweep.evaluation
    assert set(evaluation["run"].to_pylist()) == set(map(run_id, wanted))
    assert evaluation["running_train_loss"].null_count == 0
    assert evaluation["train_loss"].null_count == evaluation.num_rows
    done = gradus.resume_sweep(recorded / "sweep", workers=1)
    assert done.runs["train_seconds"].to_pylist() == sweep.runs["train_seconds"].to_pylist()


def test_a_sweep_that_lacks_a_run_trains_it_on_the_parts_of_then(recorded):
    before = gradus.open_sweep(recorded / "sweep")
    part = before.runs["part"].to_pylist()
    last = max(part)
    for kind in ("evaluation", "history"):
        (recorded / "sweep" / kind / f"{last:06d}.parquet").unlink()
    done = gradus.resume_sweep(recorded / "sweep", workers=1)
    assert done.runs.num_rows == before.runs.num_rows
    losses = [dict(zip(t["run"].to_pylist(), t["test_loss"].to_pylist(), strict=True))
              for t in (before.runs, done.runs)]  # fmt: skip
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)


def test_what_is_written_now_is_left_as_it_is():
    spec = RunSpec(seed=3).model_dump(mode="json")
    assert earlier.spec_of(spec) == spec
