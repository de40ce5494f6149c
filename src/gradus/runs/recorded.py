"""The record of a loop that is not Gradus's, as it is read."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from gradus.errors import InputError, quoted
from gradus.runs import earlier
from gradus.runs.curve import Against, Numbers
from gradus.runs.files import read_json
from gradus.runs.journal import JOURNAL, POINTS, read_journal
from gradus.runs.reading import load_parameters, read_summary
from gradus.runs.record import Run
from gradus.runs.record_tables import EVALUATION, read_rows, schema_of

if TYPE_CHECKING:
    from torch import nn

    from gradus.runs.spec import RunSpec

HISTORY = schema_of(
    step="int64",
    samples="int64",
    epoch="int32",
    loss="float64",
    lr="float64?",
    work="int64?",
    seconds="float64",
)
"""The columns of a history, with the seconds that the loop had run."""

ALWAYS = ("epoch", "samples", "running_train_loss")
"""Columns of an evaluation that every row has."""

EVALUATED = pa.schema(
    [field.with_nullable(field.name not in ALWAYS) for field in EVALUATION]
    + [pa.field("seconds", pa.float64())]
)
"""The columns of an evaluation; others are figures of the user's own."""

UNKNOWN = (
    *("kept", "test", "constant", "failure", "figures", "answers", "importance", "work"),
    *("stopped", "auto", "not_native", "kernels"),
)
"""Of a summary, what is known of Gradus's own runs alone."""


class RecordedRun(Run):
    """A run whose steps a loop of the user's own took, as :func:`gradus.record` wrote it down.

    ``history``, ``evaluation``, ``summary``, ``status``, ``curve`` and ``plot`` are those of any
    run. It has no ``spec``: what it was stands in ``summary["loop"]``.
    """

    def __init__(
        self,
        summary: Mapping[str, Any],
        history: pa.Table,
        evaluation: pa.Table,
        folder: Path,
        module: nn.Module | None = None,
    ) -> None:
        given = {
            "summary": {**dict.fromkeys(UNKNOWN), "data": {}, **summary},
            "history": history,
            "evaluation": evaluation,
            "folder": folder,
            "module": module,
        }
        for name, value in given.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"<Run {self.title}, a loop of its own: {self.status}{self._tested}>"

    @property
    def title(self) -> str:
        """The title of its loss curve."""
        return str(self.summary["loop"]["title"])

    @property
    def spec(self) -> RunSpec:
        """There is none.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"{self.folder}: is the record of a loop of one's own, which has no specification; "
            "what it was stands in run.summary['loop']"
        )

    @cached_property
    def model(self) -> nn.Module:
        """A copy of the module that was given as the record was opened, with its parameters.

        Raises:
            InputError: none was given: the record has the parameters, and not the code; or they
                are missing, damaged, or those of another model.
        """
        module: nn.Module | None = vars(self)["module"]
        if module is None:
            raise InputError(
                f"{self.folder}: is the record of a loop of one's own, which keeps the parameters "
                f"of its model and not its code; give such a module: gradus.open_run("
                f"{str(self.folder)!r}, model=net)"
            )
        copied = copy.deepcopy(module)
        self.load_into(copied)
        return copied.eval()

    def load_into(self, model: nn.Module) -> None:
        """Give a model the parameters that the loop left.

        Raises:
            InputError: they are missing, damaged, or those of another model.
        """
        assert self.folder is not None
        load_parameters(model, self.folder / "model.safetensors")

    def _placed(self, rows: pa.Table, against: Against) -> Numbers:
        if against == "work":
            raise InputError(
                f"--against work: {self.folder} is a loop of one's own, whose work is not known; "
                "use --against samples"
            )
        return np.asarray(rows[against].to_numpy())


def is_recorded(folder: Path) -> bool:
    """Whether a folder holds the record of a loop that is not ours, ended or not."""
    if (folder / POINTS / JOURNAL).exists():
        return True
    try:
        return "loop" in read_json(folder / "run.json")
    except (OSError, ValueError, TypeError):
        return False  # what is wrong is said by who reads it


def open_recorded(folder: Path, model: Any = None) -> RecordedRun:
    """The run whose record stands in a folder; of one that was broken off, what was written down.

    Args:
        folder: of the record.
        model: a module that its parameters belong to, or what makes one.

    Raises:
        InputError: it cannot be read, or the model is a name.
    """
    if isinstance(model, str):
        raise InputError(
            f"{folder}: is the record of a loop of one's own, whose model has no name; give the "
            "module itself"
        )
    if (folder / POINTS / JOURNAL).exists():
        return _broken_off(folder)
    summary = read_summary(folder / "run.json")
    try:
        history = read_rows(folder / "history.parquet", HISTORY.names, earlier.history_of, HISTORY)
        evaluation = read_rows(
            folder / "evaluation.parquet", EVALUATED.names, earlier.history_of, EVALUATED
        )
    except FileNotFoundError as error:
        raise InputError(
            f"{folder} holds no record of a run: {error.filename} is missing"
        ) from None
    module = model() if callable(model) and not hasattr(model, "state_dict") else model
    return RecordedRun(summary, history, evaluation, folder, module)


def _broken_off(folder: Path) -> RecordedRun:
    """What a loop wrote down before its process ended, or has written down so far."""
    path = folder / POINTS / "run.json"
    try:
        begun = dict(read_json(path))
        loop, parameters = dict(begun["loop"]), int(begun["parameters"])
        started = str(begun["started"])
        loop["title"] = str(loop["title"])
        history, evaluation = read_journal(folder / POINTS / JOURNAL)
    except KeyError as error:
        raise InputError(f"{path}: the record cannot be read: {error} is missing") from None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: the record cannot be read: {quoted(error)}") from None
    summary = summary_of(
        loop, parameters, history, evaluation, status="interrupted", started=started
    )
    return RecordedRun(summary, history_table(history), evaluation_table(evaluation), folder)


def summary_of(
    loop: Mapping[str, Any],
    parameters: int,
    history: Mapping[str, Numbers],
    evaluation: Sequence[Mapping[str, Any]],
    *,
    status: str,
    started: str,
    steps: int | None = None,
    error: BaseException | None = None,
) -> dict[str, Any]:
    """The content of run.json of a loop that is not ours.

    Args:
        loop: what it is.
        parameters: of its model.
        history: the columns of its history.
        evaluation: the rows of its evaluation.
        status: how it was left; of one that ran to its end, its losses say whether it diverged.
        started: when.
        steps: that were taken; None: as many as its history tells of.
        error: what it was left by.
    """
    loss, samples = history["loss"], history["samples"]
    divergence = None
    if len(loss) and not np.isfinite(loss[-1]):
        finite = np.flatnonzero(np.isfinite(loss))
        at = int(finite[-1]) + 1 if len(finite) else 0
        divergence = {
            **{name: int(history[name][at]) for name in ("step", "epoch", "samples")},
            **{name: float(history[name][at]) for name in ("loss", "lr")},
            "last_finite_loss": float(loss[finite[-1]]) if len(finite) else None,
            "hint": "take a smaller learning rate",
        }
        status = "diverged" if status == "finished" else status
    seconds = float(history["seconds"][-1]) if len(loss) else 0.0
    consumed = int(samples[-1]) if len(loss) else 0
    if steps is None:
        steps = int(history["step"][-1]) + 1 if len(loss) else 0
    return {
        "loop": dict(loop),
        "status": status,
        "steps": steps,
        "samples": consumed,
        "parameters": parameters,
        "final": dict.fromkeys(EVALUATED.names) | dict(evaluation[-1]) if evaluation else None,
        "divergence": divergence,
        "error": None if error is None else {"kind": type(error).__name__, "message": str(error)},
        "engine": "a loop of its own",
        "origin": [],
        "started": started,
        "timings": {
            "train_seconds": seconds,
            "samples_per_second": consumed / seconds if seconds else float("nan"),
        },
    }


def history_table(columns: Mapping[str, Numbers]) -> pa.Table:
    """The columns of a history as its table; work is not known."""
    rows = len(columns["loss"])
    return pa.Table.from_arrays(
        [
            pa.array(columns[field.name], field.type, from_pandas=field.nullable)
            if field.name in columns
            else pa.nulls(rows, field.type)
            for field in HISTORY
        ],
        schema=HISTORY,
    )


def evaluation_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """The rows of an evaluation as its table; figures of the user's own are its last columns."""
    own = dict.fromkeys(name for row in rows for name in row if name not in EVALUATED.names)
    schema = pa.schema([*EVALUATED, *(pa.field(name, pa.float64()) for name in own)])
    return pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
