"""A run by several processes, from the call to its record."""

import logging
import os
import signal
import threading
import time

import pytest
import torch
from torch import nn

import gradus
from gradus.cli import main
from gradus.errors import InputError, ProcessLostError
from gradus.runs import checkpoint
from gradus.runs.processes import group
from gradus.runs.standing import CHECKPOINT
from tests.warm_children import Forks


@pytest.fixture(autouse=True, scope="module")
def warm_children():
    """This process forks its children: importing torch for each costs seconds."""
    forks = Forks()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("gradus.runs.processes.children.start_child", forks.start_child)
        yield
    forks.close()


SMALL = {
    "model": "linear",
    "batch_size": 500,
    "epochs": 2,
    "lr": 0.1,
    "dtype": "float64",
    "engine": "eager",
}


def parameters(run):
    return torch.cat([p.detach().flatten() for p in run.model.parameters()])


def assert_same(run, other):
    torch.testing.assert_close(parameters(run), parameters(other), rtol=1e-11, atol=1e-11)
    mine, theirs = (each.evaluation["train_loss"].to_pylist() for each in (run, other))
    assert mine == pytest.approx(theirs, rel=1e-11)
    mine, theirs = (each.summary["final"]["test_loss"] for each in (run, other))
    assert mine == pytest.approx(theirs, rel=1e-11)


def test_the_record_is_that_of_one_process(tmp_path, capsys):
    options = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    with pytest.raises(SystemExit) as ended:
        main(["train", *options, "--quiet", "--processes=2", f"--out={tmp_path / 'two'}"])
    assert ended.value.code == 0, capsys.readouterr().err
    run = gradus.open_run(tmp_path / "two")
    assert run.summary["processes"] == 2
    assert run.summary["engine"] == "eager"
    assert_same(run, gradus.train("digits", **SMALL))


def test_objects_callbacks_and_schedulers_go_along():
    """The others are handed what was given; process 0 is observed, and all end where it ends."""
    x = torch.rand(100, 3, dtype=torch.float64)
    seen = []

    def third(underway):
        seen.append(underway.epoch)
        return "stop" if underway.epoch == 3 and underway.evaluation else None

    def run(**options):
        return gradus.train(
            {"x": x, "y": x.sum(1)},
            model=nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.3), nn.Linear(4, 1)),
            loss=lambda output, y: (output - y).square().mean(),
            method=gradus.methods.Adam(0.05),
            callbacks=[
                third,
                gradus.Scheduler(lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.5)),
            ],
            **{"epochs": 5, "batch_size": 32, "dtype": "float64", "engine": "eager"} | options,
        )

    torch.manual_seed(0)
    together = run(processes=2)
    assert set(seen) == {1, 2, 3}
    assert together.summary["ended_by_observer"]
    torch.manual_seed(0)
    alone = run()
    assert_same(together, alone)
    assert together.history["lr"] == alone.history["lr"]


def test_a_run_of_two_goes_on_by_one_and_the_other_way(tmp_path, caplog):
    """Averaged nets, whose nets go on one by one."""
    caplog.set_level(logging.INFO, "gradus")
    spec = gradus.RunSpec(data="digits", models=2, **SMALL | {"engine": "auto"})
    gradus.train(spec, out=tmp_path, processes=2)
    (line,) = [record.message for record in caplog.records if "native" in record.message]
    assert line.startswith("the native engine trains in one process; the eager engine takes")
    further = gradus.resume(tmp_path, epochs=3)
    assert further.summary["processes"] == 1
    assert further.summary["engine"] == "eager"
    further = gradus.resume(tmp_path, epochs=4, processes=2)
    assert further.summary["processes"] == 2
    whole = gradus.RunSpec(data="digits", models=2, **SMALL | {"epochs": 4})
    assert_same(further, gradus.train(whole))


def test_a_process_that_is_killed_ends_the_run_in_a_line_and_nothing_is_lost(tmp_path, monkeypatch):
    begun = []
    start = group.Processes.__init__

    def noted(self, store, rank, size, children=None):
        start(self, store, rank, size, children)
        begun.append(children._processes[0].pid)

    monkeypatch.setattr(group.Processes, "__init__", noted)

    def kill(underway):
        if underway.step == 4:
            os.kill(begun[0], signal.SIGKILL)

    options = SMALL | {"epochs": 3, "log_every": 1}
    with pytest.raises(ProcessLostError) as said:
        gradus.train("digits", **options, out=tmp_path, processes=2, callbacks=[kill])
    assert str(said.value) == (
        "process 1 of 2 was ended by signal 9 (SIGKILL); go on with "
        f"gradus.resume('{tmp_path}'), by any number of processes"
    )
    assert checkpoint.read(tmp_path / CHECKPOINT, pytest.fail).outcome.step == 4
    assert_same(gradus.resume(tmp_path), gradus.train("digits", **options))


def test_what_is_wrong_in_another_process_is_said_by_the_first():
    """Its user sees that one alone."""

    def unlucky(output, y):
        if group.CHILD in os.environ:
            raise ValueError("no luck here")
        return (output - y).square().mean()

    x = torch.rand(20, 2)
    with pytest.raises(ProcessLostError, match=r"^process 1 of 2: .*no luck here"):
        gradus.train((x, x.sum(1)), model="linear", loss=unlucky, batch_size=10, processes=2)


@pytest.mark.parametrize(
    ("variables", "processes", "said"),
    [
        ({"RANK": "2", "WORLD_SIZE": "2"}, None, "RANK=2, WORLD_SIZE=2: are set"),
        ({"RANK": "x", "WORLD_SIZE": "2"}, None, "RANK=x, WORLD_SIZE=2: are set"),
        ({"RANK": "0", "WORLD_SIZE": "4"}, 2, "4 were started already"),
        ({}, 0, "processes=0: give a whole number from 1 on"),
        (
            {
                "RANK": "0",
                "WORLD_SIZE": "2",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": "taken",
            },
            None,
            "MASTER_ADDR:MASTER_PORT 127.0.0.1:taken: processes cannot meet there",
        ),
    ],
)
def test_what_cannot_be_is_one_line(variables, processes, said, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=said):
        gradus.train("digits", **SMALL, processes=processes)


def test_several_processes_are_needed_to_average_and_first_order_to_train_by_several():
    with pytest.raises(InputError, match="average_every=4: is for several processes"):
        gradus.train("digits", **SMALL, average_every=4)
    with pytest.raises(InputError, match="processes=2: is for first-order methods"):
        gradus.train(
            "digits", model="linear", method="newton-cg", epochs=1, processes=2, engine="eager"
        )


def pair(call):
    """What two threads give that have joined, or the errors that they raise."""
    import torch.distributed as dist

    store, found = dist.HashStore(), [None, None]

    def called(rank):
        try:
            with group.joined(lambda: group.Processes(store, rank, 2)) as processes:
                found[rank] = call(processes)
        except Exception as error:
            found[rank] = error

    threads = [threading.Thread(target=called, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return found


def test_another_version_is_one_line(monkeypatch):
    versions = iter([{"gradus": "1.0", "torch": "2.6"}, {"gradus": "1.0", "torch": "2.7"}])
    monkeypatch.setattr(group, "_versions", lambda: next(versions))
    for error in pair(lambda processes: None):
        assert isinstance(error, InputError)
        assert "torch 2." in str(error)
        assert str(error).endswith("install the same on all machines")


def test_one_that_is_silent_ends_the_others(monkeypatch):
    """As where a machine loses its power: no connection is closed."""
    monkeypatch.setattr(group, "BEAT_SECONDS", 0.02)
    began = time.monotonic()

    def wait(processes):
        if processes.rank == 1:
            processes._closing.set()
            time.sleep(1.0)
            return None
        return processes.added(torch.ones(2))

    silent = pair(wait)[0]
    assert isinstance(silent, ProcessLostError)
    assert "process 1 of 2" in str(silent)
    assert time.monotonic() - began < 30


def test_sums_are_the_same_to_the_bit_and_what_the_first_says_is_heard():
    def call(processes):
        return processes.added(torch.full((1000,), 0.1 + processes.rank)), processes.said(
            b"seven" if processes.rank == 0 else b""
        )

    (first, said), (second, heard) = pair(call)
    assert torch.equal(first, second)
    assert (said, heard) == (b"seven", b"seven")
