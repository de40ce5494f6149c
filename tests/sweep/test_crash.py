"""A sweep that is killed at any moment ends as if it had not been."""

import os
import random
import subprocess
import sys
import time

import pytest

import gradus
from gradus.sweep import store as store_module
from tests.sweep.records import record

# Checkpoints after every step that may have one, and a commit as soon as there is one to make.
DRIVER = """
import sys
from gradus.sweep import fork_server, schedule, specification, sweep
schedule.COMMIT_SECONDS = 0.0
fork_server.START = fork_server.START.replace(
    "main()", "from gradus.sweep import training, worker; "
    "worker.SEND_SECONDS = training.SHORT_SECONDS = 0.0; "
    "from gradus.engine import snapshot, stepping; "
    "snapshot.CHECKPOINT_SECONDS = snapshot.CHECKPOINT_SECONDS_EPOCH = 0.0; "
    "stepping.CALL_SECONDS = 0.0; snapshot.CHECKPOINT_SHARE = float('inf'); main()", 1)
spec = specification.SweepSpec.model_validate_json(sys.argv[1])
print("begins", flush=True)
sweep.train_sweep(spec, name="killed", out=sys.argv[2], workers=2)
"""

SPECS = {
    "native": gradus.SweepSpec(
        base={"model": "linear", "epochs": 6, "log_every": 10, "engine": "native"},
        vary={"method": "sgd,adam", "lr": "0.1,0.01"},
        seeds=2,
    ),
    "eager": gradus.SweepSpec(
        base={"model": "linear", "epochs": 3, "log_every": 10, "engine": "eager"},
        vary={"lr": "0.1,0.01,1e38"},
        seeds=2,
    ),
    "both engines": gradus.SweepSpec(
        base={"model": "linear", "epochs": 3, "log_every": 10},
        vary={"engine": "native,eager", "lr": "0.1,1e38"},
        seeds=2,
    ),
    "pruned": gradus.SweepSpec(
        base={"model": "linear", "epochs": 9, "log_every": 30},
        vary={"lr": "1e-4,1e-3,0.01,0.1"},
        prune="halving",
        seeds=2,
    ),
}


def started(spec, out):
    """The driver, in a group of its own with its workers' parent: killed alone, by its id."""
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, spec.model_dump_json(exclude_defaults=True), str(out)],
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    process.stdout.readline()
    return process


def kill_at_random(spec, folder, moments, choose, between=lambda: None):
    """Kill a sweep at so many moments, beginning a new one where it has ended; how often it was.

    ``between`` may do more harm before it goes on.
    """
    true = record(gradus.train_sweep(spec, name="true", out=folder).folder)
    killed = rounds = 0
    while killed < moments:
        rounds += 1
        out = folder / f"round-{rounds}"
        for attempt in range(moments + 2):
            process = started(spec, out)
            if killed < moments and attempt < moments:
                time.sleep(choose.uniform(0, 2.5))
            else:
                process.wait()
            ended = process.poll() is not None
            process.kill()
            code = process.wait()
            process.stdout.close()
            if ended:
                assert code == 0
                break
            killed += 1
            between(out / "killed")
        assert record(out / "killed") == true
        assert not any((out / "killed/checkpoints").glob("*"))
    return killed


@pytest.mark.parametrize(("name", "moments"), [("both engines", 1), ("pruned", 1)])
def test_a_sweep_that_is_killed_ends_as_if_it_had_not_been(tmp_path, name, moments):
    choose = random.Random(moments)
    assert kill_at_random(SPECS[name], tmp_path, moments, choose, lambda folder: None) >= moments


@pytest.mark.long
@pytest.mark.parametrize("name", SPECS)
def test_at_many_moments(tmp_path, name):
    assert kill_at_random(SPECS[name], tmp_path, 70, random.Random(1), lambda folder: None) >= 70


@pytest.mark.long
@pytest.mark.parametrize("name", SPECS)
def test_and_with_files_truncated_in_between(tmp_path, name):
    choose = random.Random(2)

    def truncate(folder):
        files = [
            path
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.suffix in (".parquet", ".safetensors", ".json")
        ]
        if files:
            path = choose.choice(files)
            path.write_bytes(path.read_bytes()[: choose.randrange(path.stat().st_size + 1)])

    assert kill_at_random(SPECS[name], tmp_path, 20, choose, truncate) >= 20


@pytest.mark.long
def test_with_a_disk_that_fills_up(tmp_path, monkeypatch):
    """Every file is refused once, wherever that leaves the sweep."""
    spec = SPECS["native"]
    true = record(gradus.train_sweep(spec, name="true", out=tmp_path).folder)
    real = store_module.write_whole
    monkeypatch.setattr(gradus.sweep.schedule, "COMMIT_SECONDS", 0.0)
    for allowed in range(40):
        written = []

        def write_whole(path, content, allowed=allowed, written=written):
            if len(written) >= allowed:
                raise OSError(28, "No space left on device", str(path))
            written.append(path)
            real(path, content)

        out = tmp_path / f"after-{allowed}"
        with monkeypatch.context() as context:
            context.setattr(store_module, "write_whole", write_whole)
            refused = None
            try:
                gradus.train_sweep(spec, name="killed", out=out)
            except gradus.InputError as error:
                refused = str(error)
        if refused is None:
            break
        assert "No space left on device" in refused
        gradus.resume_sweep(out / "killed")
        assert record(out / "killed") == true
    else:
        pytest.fail("the disk never had room enough")
