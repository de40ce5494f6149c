"""Sweeps from their specification to their record, in processes of their own."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import gradus
from gradus import InputError, RunSpec, SweepSpec
from gradus.cli import main
from gradus.runs.spec import run_id
from gradus.sweep import runs_of, schedule, worker_process, workers
from gradus.sweep.sweep import resume_sweep, train_sweep
from tests.sweep.records import record

SMALL = {"model": "linear", "epochs": 2, "log_every": 20}


def spec(**changes):
    base = {**SMALL, **changes.pop("base", {})}
    return SweepSpec(**{"base": base, "vary": {"lr": "0.1,0.01"}, **changes})


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    """Run ``gradus sweep`` in an empty folder: its exit code, and what it wrote."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["sweep", *arguments])
        written = capsys.readouterr()
        return ended.value.code or 0, written.out, written.err

    return run


@pytest.fixture
def started(monkeypatch):
    """The workers that were started."""
    processes, start = [], worker_process.start_worker

    def started(*given):
        worker = start(*given)
        processes.append(worker.process)
        return worker

    monkeypatch.setattr(worker_process, "start_worker", started)
    return processes


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The record of the small sweep, which is only read."""
    return train_sweep(spec(), name="x", out=tmp_path_factory.mktemp("small"), workers=1).folder


def test_every_run_is_that_of_train(tmp_path):
    """Side by side, on data that are shared, of every kind of ending."""
    made = spec(vary={"lr": "0.1,1e38", "method": "sgd,adam"}, seeds=2)
    sweep = train_sweep(made, name="all", out=tmp_path, workers=2)
    assert sweep.status == "finished"
    assert sweep.runs.num_rows == len(runs_of(made)) == 8
    rows = {row["run"]: row for row in sweep.runs.to_pylist()}
    history = sweep.history.to_pylist()
    evaluation = sweep.evaluation.to_pylist()
    for run_spec in runs_of(made):
        run, row = gradus.train(run_spec), rows[run_id(run_spec)]
        assert row["status"] == run.status
        assert row["engine"] == run.summary["engine"]
        assert row["steps"] == run.summary["steps"]
        for name in ("lr", "method", "seed"):
            assert row[name] == getattr(run_spec, name)
        for name, value in (run.summary["final"] or {}).items():
            if name in row and name not in ("samples", "work"):  # those of the epoch that is kept
                assert row[name] == value
        if run.status == "diverged":
            assert row["diverged_step"] == run.summary["divergence"]["step"]
        own = [
            {name: value for name, value in each.items() if name != "run"}
            for each in history
            if each["run"] == row["run"]
        ]
        assert own == run.history.to_pylist()
        own = [each["test_loss"] for each in evaluation if each["run"] == row["run"]]
        assert own == run.evaluation["test_loss"].to_pylist()
    assert {row["status"] for row in rows.values()} == {"finished", "diverged"}


def test_runs_that_are_stacked_end_where_they_end_alone(tmp_path):
    """Of several methods and batch sizes, one of them diverging, with data of their own."""
    base = {"dtype": "float64", "engine": "stacked", "momentum": 0.5}
    made = spec(vary={"lr": "0.1,1e308", "batch_size": "16,50"}, seeds=3, base=base)
    sweep = train_sweep(made, name="x", out=tmp_path)
    assert set(sweep.runs["engine"].to_pylist()) == {"stacked"}
    rows = {row["run"]: row for row in sweep.runs.to_pylist()}
    for run_spec in runs_of(made):
        row = rows[run_id(run_spec)]
        alone = gradus.train(run_spec.model_copy(update={"engine": "eager"}))
        assert row["status"] == alone.status
        if alone.status == "finished":
            assert row["steps"] == alone.summary["steps"]
            for name in ("train_loss", "test_loss", "test_accuracy"):
                assert row[name] == pytest.approx(alone.summary["final"][name], rel=1e-10)
    assert {row["status"] for row in rows.values()} == {"finished", "diverged"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base": {"engine": "stacked", "method": "newton"}}, "does not run the method Newton"),
        (
            {"base": {"engine": "stacked", "epochs": 9}, "prune": "asha"},
            "engine=stacked does not",
        ),
    ],
)
def test_what_cannot_be_stacked_is_said(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        train_sweep(spec(**changes), name="x", out=tmp_path)


def test_the_same_sweep_again_trains_nothing_and_more_values_what_is_new(tmp_path, started):
    train_sweep(spec(), name="x", out=tmp_path, workers=1)
    before = record(tmp_path / "x")
    assert len(started) == 1
    assert record(train_sweep(spec(), name="x", out=tmp_path).folder) == before
    assert len(started) == 1
    standings = []
    more = spec(vary={"lr": "0.1,0.05,0.01"})
    sweep = train_sweep(more, name="x", out=tmp_path, workers=1, observe=standings.append)
    assert len(started) == 2
    assert {row["lr"] for row in sweep.runs.to_pylist()} == {0.1, 0.05, 0.01}
    # Two were there from the beginning, one was trained.
    assert standings[0].counts["finished"] == 2
    assert standings[-1].counts["finished"] == 3
    rows = record(tmp_path / "x")[0]
    assert [row for row in rows if row["lr"] != 0.05] == before[0]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"vary": {"lr": "0.1,1"}}, r"holds another sweep, whose --lr is 0\.1,0\.01"),
        ({"base": {"epochs": 3}}, "holds another sweep, whose --epochs is 2"),
        ({"base": {"method": "adam"}}, "holds another sweep, which has no --method"),
        ({"vary": {"lr": "0.1"}, "seeds": 2}, "whose --seeds is 1"),
        ({"search": "random", "trials": 1}, "holds another sweep, whose --search is grid"),
    ],
)
def test_a_folder_of_another_specification_is_left_alone(small, other, message):
    before = record(small)
    with pytest.raises(InputError, match=message):
        train_sweep(spec(**other), name="x", out=small.parent)
    assert record(small) == before


def test_a_name_is_found_where_none_is_given(tmp_path):
    first = train_sweep(spec(), out=tmp_path)
    assert first.name == "digits-sgd-1"
    assert train_sweep(spec(vary={"lr": "0.1,0.01,1"}), out=tmp_path).name == "digits-sgd-1"
    assert train_sweep(spec(base={"epochs": 1}), out=tmp_path).name == "digits-sgd-2"


def test_two_processes_on_one_sweep_are_refused_with_the_pid(tmp_path):
    seen = []

    def observe(standing):
        if not seen:
            try:
                resume_sweep(tmp_path / "x")
            except InputError as error:
                seen.append(str(error))

    train_sweep(spec(), name="x", out=tmp_path, observe=observe)
    assert seen == [
        f"{tmp_path / 'x'}: process {os.getpid()} is working there; wait for it, or end it first"
    ]


def test_it_is_readable_while_it_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(schedule, "COMMIT_SECONDS", 0.0)
    counts = []

    def observe(standing):
        sweep = gradus.open_sweep(tmp_path / "x")
        assert set(sweep.history["run"].cast("string").to_pylist()) == set(
            sweep.runs["run"].to_pylist()
        )
        counts.append(sweep.runs.num_rows)

    train_sweep(spec(seeds=10), name="x", out=tmp_path, workers=2, observe=observe)
    assert counts == sorted(counts)
    assert len(set(counts)) > 2
    assert counts[-1] == 20


def test_ctrl_c_keeps_what_has_ended_and_it_goes_on(tmp_path):
    made = spec(seeds=4, base={"epochs": 200})

    def observe(standing):
        if standing.counts["finished"] >= 2:
            raise KeyboardInterrupt

    broken = train_sweep(made, name="x", out=tmp_path, workers=2, observe=observe)
    assert broken.status == "interrupted"
    assert 2 <= broken.runs.num_rows < 8
    kept = broken.runs["run"].to_pylist()
    done = resume_sweep(tmp_path / "x")
    assert done.status == "finished"
    assert done.runs.slice(0, len(kept)).equals(broken.runs)
    train_sweep(made, name="y", out=tmp_path)
    assert record(tmp_path / "x") == record(tmp_path / "y")
    assert not any((tmp_path / "x/checkpoints").glob("*"))


def test_a_worker_that_is_stopped_is_said_and_waited_for(tmp_path, started, monkeypatch):
    stopped, told = [], []

    def observe(progress):
        if not stopped and progress.under_way:
            monkeypatch.setattr(schedule, "SILENT_SECONDS", 1.0)
            os.kill(started[0].pid, signal.SIGSTOP)
            stopped.append(started[0].pid)

    def tell(message):
        told.append(message)
        monkeypatch.setattr(schedule, "SILENT_SECONDS", 60.0)
        os.kill(stopped[0], signal.SIGCONT)

    sweep = train_sweep(spec(), name="s", out=tmp_path, workers=1, observe=observe, tell=tell)
    assert sweep.runs.num_rows == 2
    said = f"a worker (process {stopped[0]}) is silent for 1 s, and the sweep waits for it"
    assert [message.partition(":")[0] for message in told] == [said]


def test_where_all_were_stopped_together_nobody_is_said_to_be_silent(monkeypatch):
    now = iter([0.0, 0.5, 1.0, 500.0, 500.5])
    monkeypatch.setattr(workers.time, "monotonic", lambda: next(now))
    clock = workers.Clock()
    assert [clock.read() for _ in range(4)] == [0.5, 1.0, 2.0, 2.5]


def test_a_worker_that_is_killed_costs_no_run(tmp_path, started):
    made = spec(seeds=6, base={"epochs": 20})
    told = []

    def observe(standing):
        if len(started) == 2 and standing.counts["finished"] >= 1:
            started[0].kill()

    train_sweep(made, name="x", out=tmp_path, workers=2, observe=observe, tell=told.append)
    assert len(started) >= 3
    assert any("a worker was ended by signal 9" in sentence for sentence in told)
    train_sweep(made, name="y", out=tmp_path)
    assert record(tmp_path / "x") == record(tmp_path / "y")


def test_a_run_that_its_worker_dies_of_is_given_up_and_the_others_are_kept(tmp_path, monkeypatch):
    (tmp_path / "deadly.py").write_text(
        "import os, torch\n"
        "from torch import nn\n"
        "class Model(nn.Linear):\n"
        "    def __init__(self):\n"
        "        super().__init__(64, 10)\n"
        "    def forward(self, x):\n"
        "        if self.training:\n"
        "            os.kill(os.getpid(), 9)\n"
        "        return super().forward(x.flatten(1))\n"
        "def make():\n    return Model()\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    # The native engine would look at what it computes, in this process.
    base = {"epochs": 1, "engine": "eager"}
    made = SweepSpec(base=base, vary={"model": "deadly:make,linear"})
    said = r"its worker was ended by signal 9, 3 times .* the others are kept: go on with --resume"
    with pytest.raises(InputError, match=said):
        train_sweep(made, name="x", out=tmp_path, workers=1)
    assert gradus.open_sweep(tmp_path / "x").runs["model"].to_pylist() == ["linear"]


def test_what_is_wrong_is_said_before_anything_is_trained(tmp_path, started):
    with pytest.raises(InputError, match="--batch-size 5000: larger than the training data"):
        train_sweep(spec(vary={"batch_size": "16,5000"}), name="x", out=tmp_path)
    assert not (tmp_path / "x").exists()


def test_hopeless_runs_are_cut_and_say_when(tmp_path):
    made = spec(vary={"lr": "1e-6,1e-5,1e-4,1e-3,0.01,0.1"}, base={"epochs": 9}, prune="halving")
    sweep = train_sweep(made, name="x", out=tmp_path)
    rows = {row["lr"]: row for row in sweep.runs.to_pylist()}
    assert len(rows) == 6
    assert rows[0.1]["status"] == "finished"
    cut = {lr: row["pruned_epoch"] for lr, row in rows.items() if row["status"] == "pruned"}
    assert cut == {1e-6: 1, 1e-5: 1, 1e-4: 1, 1e-3: 1, 0.01: 3}
    for row in rows.values():
        assert row["epochs_trained"] == (row["pruned_epoch"] or 9)
    # What was not cut is as if nothing had been.
    alone = gradus.train(RunSpec.model_validate_json(rows[0.1]["spec"]))
    assert rows[0.1]["test_loss"] == alone.summary["final"]["test_loss"]
    assert not any((sweep.folder / "checkpoints").glob("*"))


def test_optuna_searches_and_goes_on_with_its_study(tmp_path):
    pytest.importorskip("optuna")
    made = spec(vary={"lr": "log:1e-4:1"}, search="optuna", trials=4)
    storage = f"sqlite:///{tmp_path / 'trials.db'}"
    first = train_sweep(made.model_copy(update={"storage": storage}), name="x", out=tmp_path)
    assert first.runs.num_rows == 4
    more = made.model_copy(update={"storage": storage, "trials": 7})
    second = train_sweep(more, name="x", out=tmp_path)
    assert second.runs.num_rows == 7
    assert second.runs.slice(0, 4).equals(first.runs)
    import optuna

    optuna.logging.disable_default_handler()
    study = optuna.load_study(study_name="x", storage=storage)
    assert study.best_value == second.best().summary["final"]["validation_loss"]


def test_a_damaged_checkpoint_is_told_and_its_run_trained_again(tmp_path, monkeypatch):
    made = spec(vary={"lr": "0.1,0.01"}, base={"epochs": 30_000, "log_every": 90})

    def observe(standing):
        if any((tmp_path / "x/checkpoints").glob("*/*.json")):
            raise KeyboardInterrupt

    train_sweep(made, name="x", out=tmp_path, observe=observe)
    kept = list((tmp_path / "x/checkpoints").glob("*/*.safetensors"))
    assert kept
    for path in kept:
        path.write_bytes(path.read_bytes()[:-1])
    told = []
    seen = threading.Event()

    def tell(sentence):
        told.append(sentence)
        seen.set()

    def until_told(standing):
        if seen.is_set():
            raise KeyboardInterrupt

    resume_sweep(tmp_path / "x", tell=tell, observe=until_told)
    assert "this checkpoint is damaged" in told[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lr", "0.1"], "nothing varies: give an option several values, as --lr 0.1,0.01"),
        (["--lr", "0.1,x"], "--lr x: must be a valid number"),
        (["--lr", "0.1,0.2", "--method", "adam", "--momentum", "0.5"], "--momentum"),
        (["--lrr", "0.1,0.2"], "--lrr: no such option; did you mean --lr"),
        (["--lr", "abc"], "--lr abc: must be a valid number"),
        (["--track", "mlflow"], "--track: follows one run; gradus export SWEEP --to tensorboard"),
        (["absent.toml"], "absent.toml: no such file; give the TOML file of a sweep"),
        (
            ["wrong.toml"],
            "wrong.toml, line 3: --momentun: no such option (did you mean --momentum?)",
        ),
        (["--resume", "absent"], "sweeps/absent: holds no sweep: sweep.toml is missing"),
        (["--resume", "absent", "--lr", "1,2"], "goes on with the sweep as it was specified"),
        (["--lr", ","], "--lr: has no value; give some"),
        (["--lr", "0.1,0.2", "--trials", "3"], "--trials needs --search random or optuna"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(call, arguments, message):
    Path("wrong.toml").write_text("[vary]\nlr = [0.1, 0.2]\nmomentun = [0.1]\n")
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert message in err
    assert not Path("sweeps").exists()


def test_the_command_tells_what_happens_and_where_the_record_is(call):
    Path("small.toml").write_text("[base]\nmodel = 'linear'\nepochs = 1\n[vary]\nlr = [1, 2]\n")
    command = ["small.toml", "--lr", "0.1,0.01,1e38", "--momentum", "0"]
    code, out, err = call(*command)
    assert code == 0, err
    assert "3: 2 finished, 1 diverged" in out
    assert "gradus compare sweeps/digits-sgd-1" in out
    assert call(*command, "--quiet") == (0, "sweeps/digits-sgd-1\n", "")
    assert call("--resume", "digits-sgd-1", "--quiet") == (0, "sweeps/digits-sgd-1\n", "")


def test_ctrl_c_on_the_command_is_exit_code_130(tmp_path):
    command = [
        *(sys.executable, "-m", "gradus", "sweep", "--model", "linear"),
        *("--lr", "0.1,0.01", "--epochs", "5000", "--name", "x"),
    ]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        while not any((tmp_path / "sweeps/x/checkpoints").glob("*/*.json")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(timeout=30) == 130
    assert "interrupted; go on with: gradus sweep --resume sweeps/x" in said


def test_the_closing_table_shows_seeds_and_what_was_chosen_on_what(call):
    code, out, err = call("--model", "linear", "--epochs", "1", "--lr", "1,0.1", "--seeds", "2")
    assert code == 0, err
    head, *rows = out.splitlines()
    assert head.split()[:2] == ["lr", "seed"]
    assert {tuple(row.split()[:2]) for row in rows[:4]} == {
        (lr, seed) for lr in ("1", "0.1") for seed in ("0", "1")
    }
    (chosen,) = (row for row in rows if row.startswith("chosen: "))
    assert "by validation loss" in chosen
    assert "over 2 seeds, of 2 configurations; test loss" in chosen
    assert "as asked for" not in out
    given = ("--validation-fraction", "0", "--measure", "test-loss", "--name", "on-test")
    code, out, err = call("--model", "linear", "--epochs", "1", "--lr", "1,0.1", *given)
    assert code == 0, err
    assert "chosen on the test part, as asked for" in out
    assert "with one seed, configurations cannot be told apart; from --seeds 3 on" in out
