"""Checkpoints are whole at every moment, and a run that was killed ends as if it had not been."""

import json
import os
import shutil
import subprocess
import sys
import time
from multiprocessing import get_context

import pytest
import torch

import gradus
from gradus import InputError, RunSpec, kernels
from gradus.data.loading import load
from gradus.engine import snapshot, stepping
from gradus.engine.job import Evaluation, Outcome, Row
from gradus.engine.snapshot import Snapshot
from gradus.runs import checkpoint
from gradus.runs.lock import locked

SPEC = RunSpec(model="linear", epochs=40, method="adam", log_every=3)


def standing(step):
    outcome = Outcome(step=step, samples=6 * step, history=[Row(0, 6, 1, 0.1 + step, 0.3, 6)])
    outcome.evaluation.append(Evaluation(1, 6, 1 / 3, 0.3, None, None, 0.2, 0.5, 6))
    tensors = {"w": torch.rand(3), "losses": torch.empty(0, dtype=torch.float64)}
    return Snapshot("eager", 2, 0, outcome, 0.1, tensors, {"walk": [1, None]})


def same(one, other):
    assert one.outcome.step == other.outcome.step
    assert one.outcome.history == other.outcome.history
    assert one.outcome.evaluation == other.outcome.evaluation
    assert one.facts == other.facts
    assert all(torch.equal(one.tensors[name], value) for name, value in other.tensors.items())


def silent(message):
    raise AssertionError(message)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_last_one_that_was_written_is_read(tmp_path):
    assert checkpoint.read(tmp_path, silent) is None
    for step in range(1, 12):
        found = standing(step)
        checkpoint.write(tmp_path, found)
        assert names(tmp_path) == [f"{step}.json", f"{step}.safetensors"]
        same(checkpoint.read(tmp_path, silent), found)


@pytest.mark.parametrize("suffix", ["json", "safetensors"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "gone"])
def test_a_damaged_one_is_told_and_the_one_before_is_taken(tmp_path, monkeypatch, suffix, damage):
    first, second = standing(1), standing(2)
    checkpoint.write(tmp_path, first)
    with monkeypatch.context() as context:
        context.setattr(checkpoint, "_remove", lambda folder, number: None)
        checkpoint.write(tmp_path, second)
    path = tmp_path / f"2.{suffix}"
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
    told = []
    found = checkpoint.read(tmp_path, told.append)
    same(found, first)
    if suffix == "json" and damage == "gone":  # written last: the second was never whole
        assert told == []
    else:
        assert len(told) == 1
        assert f"{tmp_path / '2'}: this checkpoint is damaged" in told[0]
    third = standing(3)
    checkpoint.write(tmp_path, third)
    assert names(tmp_path) == ["3.json", "3.safetensors"]


def test_a_disk_that_is_full_costs_nothing_that_was_kept(tmp_path, monkeypatch):
    first = standing(1)
    checkpoint.write(tmp_path, first)
    for full in ("2.safetensors", "2.json"):

        def write_whole(path, content, full=full):
            if path.name == full:
                raise OSError(28, "No space left on device", str(path))
            path.write_bytes(content)

        with monkeypatch.context() as context:
            context.setattr(checkpoint, "write_whole", write_whole)
            with pytest.raises(OSError, match="No space left"):
                checkpoint.write(tmp_path, standing(2))
        assert names(tmp_path) == ["1.json", "1.safetensors"]
        same(checkpoint.read(tmp_path, silent), first)


def test_what_a_newer_version_has_written_is_refused(tmp_path):
    checkpoint.write(tmp_path, standing(1))
    facts = json.loads((tmp_path / "1.json").read_text())
    (tmp_path / "1.json").write_text(json.dumps({**facts, "format": 3}))
    with pytest.raises(InputError, match=r"1\.json: written by a newer Gradus \(format 3"):
        checkpoint.read(tmp_path, silent)


def test_one_process_at_a_time(tmp_path):
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, pathlib, time; from gradus.runs.lock import locked\n"
            "with locked(pathlib.Path(sys.argv[1])): print('held', flush=True); time.sleep(60)",
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout.readline() == b"held\n"
        said = f"process {holder.pid} is working there"
        with pytest.raises(InputError, match=said), locked(tmp_path):
            pass
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    with locked(tmp_path):  # the file of the killed one locks nobody out
        assert int((tmp_path / "lock").read_text()) == os.getpid()


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_anew(tmp_path, monkeypatch):
    from gradus.runs import lock

    real, seen = lock.fcntl.flock, []

    def flock(descriptor, kind):
        real(descriptor, kind)
        if not seen:
            (tmp_path / "lock").unlink()
        seen.append(descriptor)

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    with locked(tmp_path):
        assert len(seen) == 2
        assert int((tmp_path / "lock").read_text()) == os.getpid()


def train_with_many_checkpoints(spec, out):
    """After every step that may have one."""
    snapshot.CHECKPOINT_SECONDS = snapshot.CHECKPOINT_SECONDS_EPOCH = 0.0
    snapshot.CHECKPOINT_SHARE = float("inf")
    stepping.CALL_SECONDS = 0.0
    gradus.train(spec, out=out)


def record(run):
    volatile = ("timings", "started")
    summary = {name: value for name, value in run.summary.items() if name not in volatile}
    parameters = {name: value.tolist() for name, value in run.model.state_dict().items()}
    return json.dumps(summary), run.history, run.evaluation, parameters


@pytest.mark.parametrize(
    "engine",
    [
        "eager",
        pytest.param(
            "native", marks=pytest.mark.skipif(not kernels.core(), reason=str(kernels.absence()))
        ),
    ],
)
def test_a_run_that_is_killed_ends_as_if_it_had_not_been(tmp_path, engine):
    spec = SPEC.model_copy(update={"engine": engine})
    true = record(gradus.train(spec))
    went_on = 0
    for delay in (0.0, 0.05, 0.3):
        out = tmp_path / f"{delay}"
        child = get_context("fork").Process(target=train_with_many_checkpoints, args=(spec, out))
        child.start()
        begun = "*.safetensors" if delay else "run.json"
        while child.is_alive() and not any((out / "checkpoint").glob(begun)):
            time.sleep(0.01)
        time.sleep(delay)
        child.kill()
        child.join()
        child.close()
        went_on += any((out / "checkpoint").glob("*.safetensors"))
        run = gradus.resume(out, tell=silent)
        assert record(run) == true
        assert record(gradus.open_run(out)) == true
        assert not (out / "checkpoint").exists()
    assert went_on > 1


@pytest.fixture
def broken_off(tmp_path, monkeypatch):
    """A folder with a run that was interrupted in its 20th epoch."""
    monkeypatch.setattr(snapshot, "CHECKPOINT_SECONDS_EPOCH", 0.0)
    monkeypatch.setattr(snapshot, "CHECKPOINT_SHARE", float("inf"))

    def progress(job, split):
        def report(progress):
            if progress.epoch == 20:
                raise KeyboardInterrupt

        return report

    run = gradus.train(SPEC, out=tmp_path / "run", progress=progress)
    assert run.status == "interrupted"
    return tmp_path / "run"


def test_an_interrupted_run_goes_on(broken_off):
    begun = []

    def progress(job, split):
        return lambda progress: begun.append(progress.since)

    run = gradus.resume(broken_off, progress=progress)
    steps = load("digits").train
    assert set(begun) == {19 * -(-len(steps) // SPEC.batch_size)}
    assert record(run) == record(gradus.train(SPEC))
    assert record(gradus.resume(broken_off)) == record(run)


@pytest.mark.parametrize("other", [{"lr": 0.5}, {"model": "mlp", "hidden": (4,)}])
def test_a_checkpoint_of_another_run_is_told_and_not_taken(broken_off, tmp_path, other):
    elsewhere = tmp_path / "elsewhere" / "checkpoint"
    spec = SPEC.model_copy(update=other)
    checkpoint.begin(elsewhere, RunSpec.read(spec.model_dump(exclude_none=True)), load("digits"))
    for path in (broken_off / "checkpoint").glob("[0-9]*"):
        shutil.copy(path, elsewhere)
    told = []
    assert checkpoint.read(elsewhere, told.append) is None
    assert [message.partition("(")[2][:30] for message in told] == [
        "it is that of another run); th"
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: None, None),
        (
            lambda folder: (folder / "checkpoint/run.json").write_text("{"),
            r"checkpoint/run\.json: is damaged",
        ),
        (
            lambda folder: changed(folder, {"format": 7}),
            r"written by a newer Gradus \(format 7, this one knows 3\)",
        ),
        (
            lambda folder: changed(folder, {"data": ""}),
            r"checkpoint/run\.json: is damaged \(its content is not what was written\)",
        ),
        (lambda folder: changed(folder, {"format": "2"}), r"checkpoint/run\.json: is damaged"),
        (lambda folder: spec_changed(folder, lr=None), "its content is not what was written"),
        (
            lambda folder: of_the_first_format(folder, {"data": ""}),
            "was begun on other data: .* has changed",
        ),
        (
            lambda folder: of_the_first_format(folder, lr=None),
            r"is damaged \(its lr is not what was written\)",
        ),
        (
            lambda folder: of_the_first_format(folder, without="betas"),
            r"is damaged \(its betas is not what was written\)",
        ),
        (lambda folder: of_the_first_format(folder, lr="fast"), r"is damaged \(lr=fast: "),
        (
            lambda folder: (folder / "checkpoint/run.json").write_text("[" * 200_000),
            r"is damaged \(nested too deep\)",
        ),
    ],
)
def test_what_cannot_go_on_is_said_in_one_line(broken_off, change, message):
    change(broken_off)
    if message is None:
        gradus.resume(broken_off)
        return
    with pytest.raises(InputError, match=message):
        gradus.resume(broken_off)


def changed(folder, changes):
    path = folder / "checkpoint/run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def spec_changed(folder, *, without=None, **changes):
    spec = json.loads((folder / "checkpoint/run.json").read_text())["spec"]
    spec.pop(without, None)
    changed(folder, {"spec": {**spec, **changes}})


def of_the_first_format(folder, changes=None, **spec):
    """As it was written before there was a checksum."""
    path = folder / "checkpoint/run.json"
    content = json.loads(path.read_text())
    del content["sha256"]
    path.write_text(json.dumps({**content, "format": 1, **(changes or {})}))
    spec_changed(folder, **spec)


def test_a_run_that_was_begun_before_there_was_a_checksum_goes_on(broken_off):
    of_the_first_format(broken_off)
    assert record(gradus.resume(broken_off)) == record(gradus.train(SPEC))


def test_a_run_that_was_broken_off_is_not_begun_again_by_mistake(broken_off):
    """Also where it was ended while its record was being written."""
    (broken_off / "run.json").unlink()
    with pytest.raises(
        InputError, match=r"holds a run that was broken off; go on with gradus\.resume"
    ):
        gradus.train(SPEC, out=broken_off)
    run = gradus.train(SPEC, out=broken_off, overwrite=True)
    assert run.status == "finished"


@pytest.mark.parametrize("there", ["nothing", "empty", "notes.txt"])
def test_a_folder_without_a_run(tmp_path, there):
    folder = tmp_path / "run"
    said = {"nothing": "does not exist", "empty": "is empty", "notes.txt": r"holds notes\.txt"}
    if there != "nothing":
        folder.mkdir()
    if there == "notes.txt":
        (folder / there).touch()
    with pytest.raises(InputError, match=f"no run to go on with: the folder {said[there]}"):
        gradus.resume(folder)
