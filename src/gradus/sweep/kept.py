"""Which runs of a sweep keep their parameters: whole records of them, in `models/RUN`."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, final

import pyarrow as pa
import pyarrow.compute as pc

from gradus.errors import InputError
from gradus.models.own import check_named
from gradus.runs.reading import UNREADABLE
from gradus.runs.record import Run, open_run
from gradus.runs.spec import RunSpec, run_id
from gradus.sweep.compare import best_runs
from gradus.sweep.measures import COMPLETE
from gradus.sweep.received import models_of
from gradus.sweep.specification import SweepSpec
from gradus.sweep.store import listed

MODELS = "models"
"""In the folder of a sweep, the records of the runs whose parameters are kept."""

RUN_ID = re.compile(r"[0-9a-f]{16}")
"""Names of folders that are such a record: others are the user's, and stay."""

EVERY = sys.maxsize
"""A run that is to be among so many is kept whatever it is worth."""

CANDIDATES = 8
"""Of so many leading configurations parameters are kept while seeds are still to be trained."""


@final
class KeptModels:
    """The records that a sweep keeps beside its tables, as its runs end.

    A worker writes the record of a run that may lead before it sends what came of it, and what was
    overtaken is removed once that stands in the store. Where the best is not there in the end,
    since it was short, or leads only since others were added or lost, it is trained once more. Of
    a configuration with several seeds it is the run of the first: the luckiest would promise too
    much.

    Args:
        folder: of the sweep.
        spec: of the sweep.
    """

    def __init__(self, folder: Path, spec: SweepSpec) -> None:
        self.folder, self.spec = folder / MODELS, spec
        self._first = _first_seeds(spec)
        several = spec.seeds > 1 or any("seed" in point.vary for point in spec.points)
        self._most = CANDIDATES if several else 1

    def among(self, run: RunSpec) -> int:
        """Of how many a run that is about to be trained has to be, to be kept; 0: it is not."""
        if self.spec.keep_models == "best":
            return self._most if self._first is None or run.seed in self._first else 0
        return EVERY if self.spec.keep_models == "all" else 0

    def lacking(self, runs: pa.Table) -> dict[str, RunSpec]:
        """The runs by their ids that are to be kept and are not: they have to be trained again.

        Raises:
            InputError: one is of a model that is code and that the sweep does not name.
        """
        wanted = self._wanted(runs, 1)
        absent = [run for run in wanted if not (self.folder / run / "run.json").exists()]
        if not absent:
            return {}
        rows = runs.filter(pc.is_in(runs["run"], value_set=pa.array(absent, pa.string())))
        specs = [_spec_of(spec, self.folder.parent) for spec in listed(rows, "spec")]
        check_named([spec.model for spec in specs], self.folder.parent, named=models_of(self.spec))
        found = dict(zip(listed(rows, "run"), specs, strict=True))
        for run, spec in found.items():
            if run != run_id(spec):  # a folder would be called so
                raise InputError(f"{self.folder.parent}: a row of runs.parquet is of another run")
        return found

    def tidy(self, runs: pa.Table, *, over: bool = False) -> None:
        """Remove the records of runs that others have overtaken.

        Args:
            runs: those that have ended; records of others are left, unless it is over.
            over: whether no more will end.
        """
        if not self.folder.exists():
            return
        wanted = {*self._wanted(runs, 1 if over else self._most, all_seeds=not over)}
        ended = None if over else {*runs["run"].to_pylist()}
        for record in self._records():
            if record.name not in wanted and (ended is None or record.name in ended):
                # Without it what is left, should this end here, is no record.
                (record / "run.json").unlink(missing_ok=True)
                shutil.rmtree(record)
        if over and not wanted:
            with suppress(OSError):  # it holds files of others
                self.folder.rmdir()

    def damage(self) -> list[str]:
        """Give up records that are not whole; a sentence for each."""
        said = []
        for record in self._records():
            if not (record / "run.json").exists():
                continue
            try:
                _check_whole(open_run(record), record)
            except UNREADABLE:
                (record / "run.json").unlink()
                said.append(f"{record}: is damaged; its run is trained again if it is to be kept")
        return said

    def _records(self) -> list[Path]:
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return [path for path in found if RUN_ID.fullmatch(path.name) and path.is_dir()]

    def _wanted(self, runs: pa.Table, most: int, *, all_seeds: bool = False) -> list[str]:
        if self.spec.keep_models == "none" or runs.num_rows == 0:
            return []
        if self.spec.keep_models == "all":
            there = pc.is_in(runs["status"], value_set=pa.array(COMPLETE))
            return listed(runs.filter(there), "run")
        best = best_runs(runs, self.spec.measure, most)
        return [run for seeds in best for run in (seeds if all_seeds else seeds[:1])]


def _first_seeds(spec: SweepSpec) -> set[int] | None:
    """The seeds with which configurations begin; None where they are drawn."""
    found = set()
    for point in spec.points:
        values = point.vary.get("seed", (point.base.get("seed", 0),))
        if not all(isinstance(value, int) for value in values):
            return None
        found.add(min(values))
    return found


def _check_whole(run: Run, record: Path) -> None:
    """Read what a record holds beside its tables.

    Raises:
        InputError: something is missing or damaged.
        OSError: likewise.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(record / "model.safetensors", "numpy") as tensors:
            tensors.keys()
    except SafetensorError as error:
        raise InputError(f"{record}: its parameters are damaged") from error
    found = run.test_predictions if run.keeps_predictions else None
    prepared = run.preparation if run.is_prepared else None
    if found is None and run.summary["test"] is not None:
        raise InputError(f"{record}: lacks what it says of the test part")
    if prepared is None and run.summary["data"]["columns"]:
        raise InputError(f"{record}: lacks the preparation of its table")


def record_of(folder: Path, run: str) -> Path | None:
    """The folder with the parameters of a run of a sweep; None where they are not kept."""
    record = folder / MODELS / Path(run).name  # whatever a row says, it stands there
    return record if (record / "run.json").exists() else None


def _spec_of(written: str, folder: Path) -> RunSpec:
    """The spec in a row.

    Raises:
        InputError: it is none.
    """
    try:
        return RunSpec.read(dict(json.loads(written)), where=f"{folder}: ")
    except (ValueError, TypeError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{folder}: a row of runs.parquet holds no spec of a run") from None


def without_parameters(
    folder: Path, row: Mapping[str, Any], history: pa.Table, evaluation: pa.Table
) -> Run:
    """A run as the tables of a sweep know it, whose parameters were not kept.

    Args:
        folder: of the sweep.
        row: of runs.parquet.
        history: its rows.
        evaluation: likewise.
    """
    spec = _spec_of(row["spec"], folder)
    divergence = None
    if row["diverged_step"] is not None:
        divergence = {name: row[f"diverged_{name}"] for name in ("step", "samples", "loss")}
    tested = None
    if row["test_examples"] is not None:
        figures = {name: row[f"test_{name}"] for name in ("loss", "accuracy", "standard_error")}
        tested = {**figures, "interval": None, "examples": row["test_examples"]}
    summary = {
        "status": row["status"],
        "engine": row["engine"],
        "kernels": row["kernels"],
        "steps": row["steps"],
        "samples": row["samples"],
        "work": row["work"],
        "final": {name: row.get(name) for name in evaluation.column_names if name in row},
        "constant": {"train_loss": row["constant_train_loss"]},
        "test": tested,
        "kept": None if row["kept_epoch"] is None else {"epoch": row["kept_epoch"]},
        "divergence": divergence,
        "failure": None,
        "data": {"classes": None, "target_names": None, "columns": []},
        "figures": None,
        "importance": [],
        "auto": {},
        "stopped": row["stopped"],
        "timings": {"train_seconds": row["train_seconds"]},
        "origin": [],
    }
    return Run(spec, summary, history, evaluation, trusted=False)
