"""The store of a sweep: whole at every moment, readable by others, and honest about damage."""

import dataclasses
import math
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gradus import InputError, RunSpec
from gradus.engine.job import Divergence, Evaluation, Outcome, Row
from gradus.runs.spec import run_id
from gradus.sweep import store as store_module
from gradus.sweep.result import RUNS, result_of
from gradus.sweep.store import PARTS, Store, best_row, read_parts, read_runs

KINDS = tuple(PARTS)


def result(seed, epochs=3, status="finished", **changes):
    """What a run leaves, with figures that tell which run and which row they are of."""
    spec = RunSpec(seed=seed, hidden=(4, 5), **changes)
    outcome = Outcome(step=10 * epochs, samples=100 * epochs, train_seconds=0.5)
    for epoch in range(1, epochs + 1):
        outcome.history += [
            Row(10 * epoch + i, 100 * epoch, epoch, seed + epoch / 3, 0.1, 100 * epoch)
            for i in range(2)
        ]
        outcome.evaluation.append(
            Evaluation(
                epoch,
                100 * epoch,
                seed + 0.5,
                seed + 0.25,
                seed + abs(epoch - 2),
                1 / epoch,
                seed + 1 / epoch,
                epoch / 10,
                100 * epoch,
            )
        )
    if status == "diverged":
        outcome.divergence = Divergence(7, 70, 1, math.inf, 2.5, 0.1)
    return result_of(
        run_id(spec), spec, outcome,
        resolved=spec.model_copy(update={"loss": "cross-entropy"}),
        status=status, engine="native", kernels="avx2",
    )  # fmt: skip


def rows(table):
    """The rows of a table in an order of their own, without where and how fast they came about."""
    table = table.drop_columns([n for n in ("part", "train_seconds") if n in table.column_names])
    return sorted(map(repr, table.to_pylist()))


def content(folder):
    runs = read_runs(folder)
    return (rows(runs), *(rows(read_parts(folder, kind, runs)) for kind in KINDS))


def test_what_is_complete_is_opened_without_torch():
    script = "import sys, gradus.sweep.sweep, gradus.figures.page; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert found.stdout.strip() == "False", found.stderr


def test_a_row_tells_how_a_run_went(tmp_path):
    store = Store(tmp_path)
    found = result(3, status="diverged", method="adam")
    store.add([found])
    (row,) = read_runs(tmp_path).to_pylist()
    expected = {
        "run": found.run, "status": "diverged", "method": "adam", "hidden": "4,5", "seed": 3,
        "momentum": None, "loss": "cross-entropy", "epochs_trained": 3, "steps": 30,
        "samples": 300, "running_train_loss": 3.5, "train_loss": 3.25, "validation_loss": 4.0,
        "validation_accuracy": 1 / 3, "best_validation_loss": 3.0, "best_validation_accuracy": 1.0,
        "test_loss": 3 + 1 / 3, "test_accuracy": 0.3,
        "best_test_loss": 3 + 1 / 3, "best_test_accuracy": 0.3, "best_epoch": 2,
        "diverged_step": 7, "diverged_samples": 70, "diverged_loss": math.inf, "engine": "native",
        "kernels": "avx2", "pruned_epoch": None, "train_seconds": 0.5,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert RunSpec.model_validate_json(row["spec"]) == found.spec
    history = read_parts(tmp_path, "history", read_runs(tmp_path)).to_pylist()
    assert history[0] == {
        "run": found.run, "step": 10, "samples": 100, "epoch": 1, "loss": 3 + 1 / 3, "lr": 0.1,
        "work": 100,
    }  # fmt: skip
    assert len(history) == 6


def test_a_regression_has_no_accuracy(tmp_path):
    found = result(0)
    nothing = {**found.evaluation, "test_accuracy": np.full(3, math.nan)}
    Store(tmp_path).add([dataclasses.replace(found, evaluation=nothing)])
    runs = read_runs(tmp_path)
    assert runs["test_accuracy"].to_pylist() == [None]
    assert read_parts(tmp_path, "evaluation", runs)["test_accuracy"].to_pylist() == [None] * 3


def test_many_small_parts_become_one_and_hold_the_same(tmp_path):
    found = [result(seed, epochs=seed % 3) for seed in range(50)]
    (tmp_path / "one").mkdir()
    (tmp_path / "many").mkdir()
    Store(tmp_path / "one").add(found)
    store = Store(tmp_path / "many")
    for each in found:
        store.add([each])
        assert store.finished() == set(read_runs(tmp_path / "many")["run"].to_pylist())
    assert content(tmp_path / "one") == content(tmp_path / "many")
    assert len(list((tmp_path / "many/history").iterdir())) <= store_module.SMALL_PARTS
    assert rows(Store(tmp_path / "many").runs) == rows(store.runs)


def test_the_best_is_among_what_has_finished():
    table = pa.table(
        {
            "status": ["finished", "diverged", "finished", "finished", "failed"],
            "test_loss": [0.3, 0.1, 0.2, None, 0.1],
            "test_accuracy": [0.9, 1.0, 0.8, None, 1.0],
        }
    )
    assert best_row(table, "test_loss")["test_loss"] == 0.2
    assert best_row(table, "test_accuracy")["test_accuracy"] == 0.9
    assert best_row(table.slice(1, 1), "test_loss") is None


@pytest.mark.parametrize("stage", ["evaluation", "history", "runs"])
def test_a_crash_between_two_files_loses_nothing_that_was_told(tmp_path, monkeypatch, stage):
    """The files of a commit are written one after another: it ends after any of them."""
    store = Store(tmp_path)
    store.add([result(0)])
    before = content(tmp_path)
    real = store_module.write_whole

    def write_whole(path, data):
        if path.parent.name == stage or path.stem == stage:
            raise KeyboardInterrupt
        real(path, data)

    with monkeypatch.context() as context:
        context.setattr(store_module, "write_whole", write_whole)
        with pytest.raises(KeyboardInterrupt):
            store.add([result(1)])
    assert content(tmp_path) == before  # readers see nothing of it
    again = Store(tmp_path)
    assert again.damage == []
    # The parts were whole: their runs need not be trained again.
    assert len(again.finished()) == (2 if stage == "runs" else 1)
    again.add([result(2)])
    assert len(read_parts(tmp_path, "history", again.runs)) == 6 * again.runs.num_rows


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "gone"])
@pytest.mark.parametrize("kind", [*KINDS, "runs"])
def test_what_is_damaged_is_told_and_the_rest_is_kept(tmp_path, kind, damage):
    store = Store(tmp_path)
    for seed in range(3):
        store.add([result(seed)])
    true = content(tmp_path)
    path = tmp_path / ("runs.parquet" if kind == "runs" else f"{kind}/000002.parquet")
    data = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        data[60] ^= 255
        path.write_bytes(data)
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
    if kind != "runs" or damage != "gone":
        with pytest.raises(InputError, match=r"(is damaged|files are missing).*--resume"):
            content(tmp_path)

    again = Store(tmp_path)
    lost = set() if kind == "runs" else {result(1).run}
    assert again.finished() == {result(seed).run for seed in range(3)} - lost
    assert len(again.damage) == (0 if kind == "runs" and damage == "gone" else 1)
    assert all(str(path) in sentence for sentence in again.damage)
    if lost:
        assert content(tmp_path) != true
        again.add([result(1)])
    assert content(tmp_path) == true
    assert Store(tmp_path).damage == []


def test_what_a_newer_version_has_written_is_refused(tmp_path, monkeypatch):
    with monkeypatch.context() as context:
        context.setattr(store_module, "FORMAT", 9)
        Store(tmp_path).add([result(0)])
    said = r"was written by a newer version of gradus \(format 9, this one reads 2\)"
    for reading in (Store, read_runs):
        with pytest.raises(InputError, match=said):
            reading(tmp_path)


def test_a_full_disk_costs_nothing_that_was_kept(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.add([result(0)])
    before = content(tmp_path)

    def full(path, data):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(store_module, "write_whole", full)
        with pytest.raises(
            InputError, match=r"cannot be written: No space left.* 1 runs .*--resume"
        ):
            store.add([result(1)])
    assert content(tmp_path) == before
    store.add([result(1)])
    assert read_runs(tmp_path).num_rows == 2


def test_the_files_are_ordinary_parquet(tmp_path):
    Store(tmp_path).add([result(0)])
    table = pq.read_table(tmp_path / "history")
    assert table.column_names == ["run", "step", "samples", "epoch", "loss", "lr", "work"]
    assert table.num_rows == 6


def rewritten(path, change):
    """A whole file of the same format with other columns."""
    table = pq.read_table(path)
    pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), path)


def test_options_that_are_newer_than_a_store_were_not_given_then(tmp_path):
    store = Store(tmp_path)
    store.add([result(0), result(1)])
    rewritten(tmp_path / "runs.parquet", lambda table: table.drop_columns(["beta"]))
    runs = read_runs(tmp_path)
    assert runs.schema.names == RUNS.names
    assert runs["beta"].null_count == 2
    assert Store(tmp_path).finished() == store.finished()


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.drop_columns(["status"]),
        lambda table: table.drop_columns(["test_loss"]),
        lambda table: table.append_column("status", table["status"]),
        lambda table: table.set_column(1, "status", pa.array([None, "finished"])),
        lambda table: table.set_column(1, "status", pa.array([1, 2])),
    ],
    ids=["no status", "no figure", "twice", "missing", "other type"],
)
def test_a_whole_file_in_the_place_of_another_is_damaged(tmp_path, change):
    store = Store(tmp_path)
    store.add([result(0), result(1)])
    rewritten(tmp_path / "runs.parquet", change)
    with pytest.raises(InputError, match=r"runs\.parquet: is damaged"):
        read_runs(tmp_path)
    opened = Store(tmp_path)  # made again from the parts
    assert opened.finished() == store.finished()
    assert len(opened.damage) == 1


def test_what_was_written_beside_is_removed_and_nothing_else(tmp_path):
    """Not through a link either, which a folder from elsewhere may hold."""
    folder, elsewhere = tmp_path / "sweep", tmp_path / "elsewhere"
    elsewhere.mkdir()
    precious = [elsewhere / ".runs.parquet.123", elsewhere / ".profile.old"]
    for path in precious:
        path.write_text("mine")
    Store(folder).add([result(0)])
    (folder / "linked").symlink_to(elsewhere)
    left = [folder / ".runs.parquet.123", folder / "history/.000002.parquet.123"]
    others = [folder / "history/000001 (copy).parquet", folder / "notes.txt"]
    for path in (*left, *others):
        path.write_text("cut o")
    store = Store(folder)
    assert len(store.finished()) == 1
    assert store.damage == []
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in (*precious, *others))
