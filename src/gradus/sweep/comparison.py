"""Runs that were trained one by one, side by side: of Gradus, of loops of one's own, or both."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import pyarrow as pa

from gradus.engine.selection import rises
from gradus.errors import InputError, quoted
from gradus.notebook import in_notebook
from gradus.runs.keywords import known_keywords
from gradus.runs.record import Run, open_run
from gradus.runs.record_tables import EVALUATION, HISTORY
from gradus.runs.recorded import RecordedRun
from gradus.sweep.compare import ranking
from gradus.sweep.groups import OWN, OWNED, RUN_NAME, Grouped, varied
from gradus.sweep.measures import MEASURES, STATUSES
from gradus.sweep.result import OPTIONS, RUNS, option_columns
from gradus.sweep.space import Panel

NOT_TO_THE_END = ("interrupted", "stopped")
"""Statuses of runs whose figures are not compared, nor those of a loop that an error left."""

BY = ("validation_loss", "test_loss", "train_loss", "running_train_loss")
"""What runs are compared by: the first of these that all of them have."""


@final
@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs side by side.

    Attributes:
        name: what they are called together.
        runs: a pyarrow table with a row a run: ``run``, ``status``, every option that one of them
            has, and the figures.
        history: the rows of all histories, with the column ``run``.
        evaluation: those of all evaluations.
        panels: none.

    Example:
        >>> import gradus, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> for lr in (1.0, 0.001):
        ...     spec = gradus.RunSpec(model="linear", epochs=1, lr=lr)
        ...     run = gradus.train(spec, out=f"{folder.name}/{lr}")
        >>> comparison = gradus.compare(f"{folder.name}/1.0", f"{folder.name}/0.001")
        >>> comparison.ranking().select(["rank", "lr"]).to_pylist()
        [{'rank': 1, 'lr': 1.0}, {'rank': 2, 'lr': 0.001}]
        >>> folder.cleanup()
    """

    name: str
    runs: pa.Table
    history: pa.Table
    evaluation: pa.Table
    panels: Sequence[Panel] = field(default=())

    def __repr__(self) -> str:
        return f"<Comparison of {self.name}>"

    def _repr_html_(self) -> str:
        return in_notebook(self)

    def ranking(self, measure: str | None = None) -> pa.Table:
        """The runs, the best first; those that differ in their seed alone are one configuration.

        Args:
            measure: as in `gradus.sweep.compare.ranking`.

        Raises:
            InputError: no run has the measure.
        """
        return ranking(self, measure)


@known_keywords(
    elsewhere={"measure": "is of what compare gives: gradus.compare(..).ranking(measure=..)"}
)
def compare(*runs: Run | str | os.PathLike[str]) -> Comparison:
    """Put runs side by side, each a run or the folder of its record.

    Options that differ tell them apart: of the specification, of the optimizer of a loop of one's
    own, and of its ``config``; where none does, their names.

    Raises:
        InputError: there are fewer than two, a folder holds no record, or two have one name.
    """
    for run in runs:
        if isinstance(run, list | tuple):
            raise InputError(
                f"compare: a {type(run).__name__} of {len(run)}; give runs one by one, as "
                "gradus.compare(first, second) or gradus.compare(*runs)"
            )
        if not isinstance(run, Run | str | os.PathLike):
            raise InputError(f"compare {quoted(run)}: give runs, or the folders of their records")
    opened = [run if isinstance(run, Run) else open_run(run) for run in runs]
    if len(opened) < 2:
        raise InputError(f"compare: two runs or more are compared, not {len(opened)}")
    names = _names(opened)
    for name, times in Counter(names).items():
        if times > 1:
            paths = [str(r.folder) for r, n in zip(opened, names, strict=True) if n == name]
            raise InputError(f"compare: {' and '.join(paths)} have one name; rename a folder")
    rows = [_row(name, run) for name, run in zip(names, opened, strict=True)]
    by = next(
        (name for name in BY if all(row.get(name) is not None for row in rows)),
        next((name for name in BY if any(row.get(name) is not None for row in rows)), BY[0]),
    )
    table = _table([row | {"measure": by.replace("_", "-")} for row in rows])
    seeds = Grouped(table, tuple(n for n in ("seed", "split_seed") if n in table.column_names))
    told = Grouped(table, (*varied(table), *seeds.options))
    if len(told.first) < len(rows):
        table = table.append_column(RUN_NAME, pa.array(names))
    are_two = len(names) == 2 and all(run.folder is not None for run in opened)
    return Comparison(
        " and ".join(names) if are_two else f"{len(names)} runs",
        table,
        _stacked(names, [run.history for run in opened], HISTORY),
        _stacked(names, [run.evaluation for run in opened], EVALUATION),
    )


def _names(runs: Sequence[Run]) -> list[str]:
    """Those of folders; of runs in memory their titles, counted where several have one."""
    titles = [run.title if run.folder is None else run.folder.resolve().name for run in runs]
    met: Counter[str] = Counter()
    names = []
    for run, title in zip(runs, titles, strict=True):
        met[title] += run.folder is None
        counted = run.folder is None and titles.count(title) > 1
        names.append(f"{title} ({met[title]})" if counted else title)
    return names


def _row(name: str, run: Run) -> dict[str, Any]:
    """The row of a run, as a sweep has it."""
    summary, recorded = run.summary, isinstance(run, RecordedRun)
    status = run.status
    if status in NOT_TO_THE_END or (recorded and status == "failed"):
        status = "stopped"
    options = options_of_loop(run) if recorded else option_columns(run.spec, run.spec.loss)
    constant, divergence = summary["constant"], summary["divergence"] or {}
    epochs = run.evaluation["epoch"].to_pylist()
    return {
        "run": name,
        "status": status if status in STATUSES else "stopped",
        **options,
        **_figures(run),
        "epochs_trained": epochs[-1] if epochs else 0,
        "steps": summary["steps"],
        "samples": summary["samples"],
        "work": summary["work"],
        "constant_train_loss": None if constant is None else constant.get("train_loss"),
        **{f"diverged_{n}": divergence.get(n) for n in ("step", "samples", "loss")},
        "train_seconds": summary["timings"]["train_seconds"],
    }


def _figures(run: Run) -> dict[str, Any]:
    """The figures of the epoch that a run kept, and the best of each; those of the test part."""
    tested = (run.summary["figures"] or {}).get("test", {})
    found = {
        f"test_{n}": figure["value"] for n, figure in tested.items() if f"test_{n}" in MEASURES
    }
    final = run.summary["final"] or {}
    for name in run.evaluation.column_names:
        values = np.asarray(run.evaluation[name].to_numpy(), np.float64)
        values = values[np.isfinite(values)]
        if name not in MEASURES or not len(values):
            continue
        found[name] = final.get(name)
        best = f"best_{name}"
        if best in MEASURES:
            found[best] = float(values.max() if rises(name) else values.min())
    if (test := run.summary["test"]) is not None:
        found["test_standard_error"] = test["standard_error"]
        found["test_examples"] = test["examples"]
    return found


def options_of_loop(run: Run) -> dict[str, Any]:
    """The options of a loop of one's own: of its optimizer, under our names, and its config."""
    loop = run.summary["loop"]
    options: dict[str, Any] = {"model": _short(loop["model"])}
    if loop["optimizer"] is not None:
        options["method"] = _short(loop["optimizer"])
        (group, *_) = loop["optimizer"]["groups"]
        options |= {name: value for name, value in group.items() if name in OPTIONS}
    batches = np.diff(run.history["samples"].to_numpy(), prepend=0)
    if len(batches):
        options["batch_size"] = Counter(batches.tolist()).most_common(1)[0][0]
    config: Mapping[str, Any] = loop["config"]
    if isinstance(config.get("seed"), int):
        options["seed"] = config["seed"]
    return options | {f"{OWN}{name}": value for name, value in config.items() if name != "seed"}


def _short(described: Mapping[str, Any]) -> str:
    return str(described["class"]).rpartition(".")[2]


def _table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows as a table, columns that are known in their order and of their types.

    What only a specification says (how data are prepared) tells it from no loop.
    """
    names = {
        name: None
        for row in rows
        for name in row
        if name not in OPTIONS or name in OWNED or all(name in each for each in rows)
    }
    known = [name for name in RUNS.names if name in names]
    columns = {name: _column(name, [row.get(name) for row in rows]) for name in known}
    columns |= {
        name: _column(name, [row.get(name) for row in rows]) for name in names if name not in known
    }
    return pa.table(
        {name: column for name, column in columns.items() if column.null_count < len(rows)}
    )


def _column(name: str, values: Sequence[Any]) -> Any:
    """The values of a column; where they are of several kinds, as texts."""
    kind = RUNS.field(name).type if name in RUNS.names else None
    plain = [",".join(map(str, v)) if isinstance(v, list | tuple) else v for v in values]
    try:
        return pa.array(plain, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if v is None else str(v) for v in plain], pa.string())


def _stacked(names: Sequence[str], tables: Sequence[pa.Table], schema: pa.Schema) -> pa.Table:
    """The rows of all runs, each with its run, and the columns that all of them have."""
    which = np.repeat(np.arange(len(tables), dtype=np.int32), [t.num_rows for t in tables])
    whole = pa.concat_tables(
        [table.select(schema.names) for table in tables], promote_options="permissive"
    )
    run = pa.DictionaryArray.from_arrays(which, pa.array(names, pa.string()))
    return whole.add_column(0, "run", run)
