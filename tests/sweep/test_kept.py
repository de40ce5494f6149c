"""Which runs of a sweep keep their parameters, and that they are runs like any other."""

import shutil

import pyarrow as pa
import pytest
import torch

import gradus
from gradus import InputError, RunSpec, SweepSpec
from gradus.cli import main, sweep_report
from gradus.runs.job import load_for
from gradus.runs.spec import run_id
from gradus.sweep import runs_of, training
from gradus.sweep.compare import ranking
from gradus.sweep.kept import KeptModels
from gradus.sweep.messages import Task
from gradus.sweep.shared_memory import attach, share
from gradus.sweep.sweep import train_sweep
from gradus.sweep.training import Trainer
from tests.sweep.records import record

FLOWERS = {"data": "examples/iris.csv", "target": "species", "epochs": 1, "models": 1}


def spec(**changes):
    base = {"model": "linear", "epochs": 1, "log_every": 50, **changes.pop("base", {})}
    return SweepSpec(**{"base": base, "vary": {"lr": "1,0.1,1e38"}, **changes})


def kept(folder):
    return {path.name for path in folder.glob("models/*")}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Of two seeds, the last configuration diverging; only read."""
    return train_sweep(spec(seeds=2), name="x", out=tmp_path_factory.mktemp("kept"), workers=1)


def test_the_parameters_of_the_best_are_those_that_its_run_has_alone(swept):
    best = swept.best()
    assert (best.spec.lr, best.spec.seed) == (ranking(swept)["lr"][0].as_py(), 0)
    (asked,) = (run for run in runs_of(swept.spec) if (run.lr, run.seed) == (best.spec.lr, 0))
    assert kept(swept.folder) == {best.folder.name} == {run_id(asked)}
    alone = gradus.train(best.spec)
    for ours, theirs in zip(best.model.parameters(), alone.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    told = ("status", "engine", "steps", "final", "kept", "test", "figures", "nets")
    for name in told:
        assert best.summary[name] == alone.summary[name]
    assert best.history.equals(alone.history)
    assert best.test_predictions.table().equals(alone.test_predictions.table())


def test_what_the_best_is_by_another_measure_is_known_without_its_parameters(swept):
    (worse,) = (run for run in runs_of(swept.spec) if (run.lr, run.seed) == (0.1, 0))
    shutil.copytree(swept.folder, swept.folder.parent / "y")
    (row,) = swept.runs.filter(pa.compute.field("run") == run_id(worse)).to_pylist()
    # As if it had had the least training loss.
    runs = swept.runs.set_column(
        swept.runs.schema.get_field_index("train_loss"), "train_loss",
        pa.array([-loss if lr == 0.1 else loss for lr, loss in zip(
            swept.runs["lr"].to_pylist(), swept.runs["train_loss"].to_pylist(), strict=True)]),
    )  # fmt: skip
    other = gradus.sweep.Sweep(swept.folder, swept.spec, runs).best("train-loss")
    assert other.spec == worse
    assert other.summary["final"]["validation_loss"] == row["validation_loss"]
    assert other.history.num_rows > 0
    assert other.plot() is not None
    beside = gradus.compare(other, swept.best()).runs["train_loss"].to_pylist()
    assert beside[0] == -row["train_loss"]
    for ask in (lambda: other.model, lambda: other.predict({})):
        with pytest.raises(InputError, match=r"lr-0.1 .*: its parameters are not kept"):
            ask()


@pytest.mark.parametrize(
    ("given", "message"),
    [("f2", "measure f2: choose"), ("test_f1", "none of these runs has one")],
)
def test_no_best_by_what_no_run_has(swept, given, message):
    with pytest.raises(InputError, match=message):
        swept.best(given)


def test_no_best_where_of_no_configuration_all_runs_finished(swept):
    lost = swept.runs.filter(pa.compute.field("status") == "diverged")
    with pytest.raises(InputError, match="of no configuration did all runs finish"):
        gradus.sweep.Sweep(swept.folder, swept.spec, lost).best()


def test_what_is_lacking_is_trained_once_more_and_the_record_ends_the_same(swept, tmp_path):
    folder = shutil.copytree(swept.folder, tmp_path / "x")
    true = record(folder)
    train_sweep(spec(seeds=2, keep_models="none"), name="x", out=tmp_path)
    assert not (folder / "models").exists()
    train_sweep(spec(seeds=2), name="x", out=tmp_path, workers=1)
    assert record(folder) == true
    assert not any((folder / "checkpoints").glob("*"))
    ended = swept.runs.filter(pa.compute.field("status") == "finished")["run"].to_pylist()
    all_of_them = KeptModels(folder, spec(seeds=2, keep_models="all"))
    assert all_of_them.lacking(swept.runs).keys() == set(ended) - kept(folder)


@pytest.mark.parametrize(
    "name", ["model.safetensors", "test.parquet", "history.parquet", "run.json"]
)
def test_a_record_that_is_not_whole_is_given_up(swept, tmp_path, name):
    (kept_one,) = kept(swept.folder)
    shutil.copytree(swept.folder / "models" / kept_one, tmp_path / "models" / kept_one)
    models = KeptModels(tmp_path, swept.spec)
    assert models.damage() == []
    path = tmp_path / "models" / kept_one / name
    path.write_bytes(path.read_bytes()[:-9])
    (said,) = models.damage()
    assert said.startswith(f"{path.parent}: is damaged")
    assert models.lacking(swept.runs).keys() == {kept_one}


def test_a_row_that_is_damaged_is_one_line(swept, tmp_path):
    at = swept.runs.schema.get_field_index("spec")
    runs = swept.runs.set_column(at, "spec", pa.array(["[1]"] * swept.runs.num_rows))
    with pytest.raises(InputError, match="holds no spec of a run"):
        gradus.sweep.Sweep(tmp_path, swept.spec, runs).best()


def test_no_folder_is_called_what_a_row_says(swept, tmp_path):
    at = swept.runs.schema.get_field_index("run")
    names = [f"../../{name}" for name in swept.runs["run"].to_pylist()]
    with pytest.raises(InputError, match=r"a row of .* is of another run"):
        KeptModels(tmp_path, swept.spec).lacking(swept.runs.set_column(at, "run", pa.array(names)))


@pytest.mark.parametrize("engine", ["native", "stacked", "eager"])
def test_what_a_worker_keeps_of_a_table_predicts(tmp_path, monkeypatch, engine):
    monkeypatch.setattr(training, "SHORT_SECONDS", 0.0)
    runs = [RunSpec(**FLOWERS, engine=engine, lr=lr) for lr in (0.01, 0.001, 0.02)]
    trainer = Trainer(tmp_path, send=print, heartbeat=lambda make: None)
    shared = share(load_for(runs[0], None))
    trainer.hold(1, attach(shared.descriptor, shared.size, shared.split))
    tasks = [Task(run_id(run), run, 1, among=1) for run in runs]
    if engine == "stacked":
        results = trainer.train_batch(tasks)
    else:
        results = [trainer.train(task) for task in tasks]
    worths = [result.worth for result in results]
    # Each that is better than those before.
    led = {run_id(run) for n, run in enumerate(runs) if worths[n] == min(worths[: n + 1])}
    assert kept(tmp_path) == led
    run = gradus.open_run(tmp_path / "models" / run_id(runs[worths.index(min(worths))]))
    assert run.summary["engine"] == engine
    assert run.predict("examples/iris.csv").column_names[1:] == [
        f"p({name})" for name in run.preparation.goal.names
    ]
    assert run.summary["importance"]


def test_the_closing_words_name_what_can_predict(swept, capsys):
    sweep_report.close(swept)
    assert f"\nmodel    {swept.best().folder}\n" in capsys.readouterr().out


def named(run):
    """What may be the id of a run, and says which it is."""
    return run.encode().hex().zfill(16)


def rows(*of):
    """Runs by their rates, seeds and figures, as a store has them."""
    return pa.table(
        {
            "run": [named(f"{lr}-{seed}") for lr, seed, _ in of],
            "status": ["finished" if loss is not None else "diverged" for *_, loss in of],
            "lr": [lr for lr, *_ in of],
            "seed": [seed for _, seed, _ in of],
            "validation_loss": [loss for *_, loss in of],
        }
    )


@pytest.mark.parametrize(
    ("keep", "ended", "over", "there"),
    [
        ("best", [(1.0, 0, 0.3), (0.1, 0, 0.2)], False, {"0.1-0", "0.1-1", "5.0-0"}),
        ("best", [(1.0, 0, 0.3), (0.1, 0, 0.2)], True, {"0.1-0"}),
        ("best", [(0.1, 0, 0.2), (1.0, 0, 0.2)], True, {"0.1-0"}),  # as equal ones are ranked
        ("best", [(1.0, 0, 0.2), (0.1, 0, 0.2)], True, {"0.1-0"}),
        ("best", [(1.0, 0, 0.3), (0.1, 0, 0.1), (0.1, 1, None)], True, {"1.0-0"}),
        ("best", [(1.0, 0, 0.3), (0.1, 1, 0.1), (0.1, 0, 0.2)], True, {"0.1-0"}),
        ("best", [(1.0, 0, None)], True, set()),
        ("all", [(1.0, 0, 0.3), (0.1, 0, 0.2), (9.0, 0, None)], True, {"0.1-0", "1.0-0"}),
        ("none", [(1.0, 0, 0.3), (0.1, 0, 0.2)], True, set()),
    ],
)
def test_what_was_overtaken_is_removed(tmp_path, keep, ended, over, there):
    models = KeptModels(tmp_path, spec(keep_models=keep))
    for name in (*map(named, ("1.0-0", "0.1-0", "0.1-1", "5.0-0")), "mine"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "run.json").touch()
    models.tidy(rows(*ended), over=over)
    assert kept(tmp_path) == {*map(named, there), "mine"}


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({}, {0: 1, 1: 0}),
        ({"seeds": 3}, {0: 8, 1: 0}),
        ({"seeds": 3, "base": {"seed": 7}}, {0: 0, 7: 8}),
        ({"vary": {"seed": "4,2"}}, {2: 8, 4: 0}),
        ({"keep_models": "none"}, {0: 0}),
    ],
)
def test_of_several_seeds_the_first_is_asked_for(tmp_path, changes, asked):
    models = KeptModels(tmp_path, spec(**changes))
    assert {seed: models.among(RunSpec(seed=seed)) for seed in asked} == asked


def test_code_that_only_a_row_names_is_not_imported(tmp_path, swept):
    """A folder from elsewhere may say anything of its runs."""
    written = [
        RunSpec.model_validate_json(row).model_copy(update={"model": "evil:make"}).model_dump_json()
        for row in swept.runs["spec"].to_pylist()
    ]
    at = swept.runs.schema.get_field_index("spec")
    runs = swept.runs.set_column(at, "spec", pa.array(written))
    with pytest.raises(InputError, match="its model evil:make is code"):
        KeptModels(tmp_path, swept.spec).lacking(runs)
    with pytest.raises(InputError, match="its model evil:make is code"):
        gradus.sweep.Sweep(tmp_path, swept.spec, runs, trusted=True).best().check_code()


def test_the_best_is_trained_once_more_by_what_the_folder_says(swept, tmp_path, capsys):
    assert swept.best().train().history.equals(swept.best().history)
    assert swept.best("train_loss").train(lr=0.5).spec.lr == 0.5
    command = ["train", "--spec", str(swept.folder), "--epochs", "2", "--out", str(tmp_path / "r")]
    with pytest.raises(SystemExit) as ended:
        main(command)
    err = capsys.readouterr().err
    assert not ended.value.code, err
    chosen = [line for line in err.splitlines() if "chosen: " in line]
    assert chosen[0].startswith(f"gradus: {swept.folder}: chosen: lr 1, by validation loss")
    assert chosen[0].endswith("over 2 seeds, of 3 configurations, 1 of them not trained to the end")
    best, run = swept.best().spec, gradus.open_run(tmp_path / "r")
    assert run.spec == best.model_copy(update={"epochs": 2})
