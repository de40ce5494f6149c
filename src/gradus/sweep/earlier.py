"""Sweeps that earlier versions recorded, in the words of this one.

Until there was a validation part, runs were compared on the test part, which the seed of each drew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from gradus.runs import earlier
from gradus.runs.parts.data import OWN_PARTS
from gradus.runs.spec import RunSpec, canonical, run_id
from gradus.sweep.result import FIGURES, RUNS, option_columns

THEN = {"split_seed": OWN_PARTS, "validation_fraction": 0.0, "measure": "test-loss"}
"""What held for every run of a sweep, and now has to be said."""


def sweep_of(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a recorded sweep.toml, which has always said its measure since there is one.

    Example:
        >>> sweep_of({"base": {"epochs": 2}})["base"]
        {'log_every': 100, 'epochs': 2, 'split_seed': 'seed', 'validation_fraction': 0.0, 'measure': 'test-loss'}
    """  # noqa: E501
    base = dict(recorded.get("base", {}))
    if "measure" in base:
        return dict(recorded)
    return {**recorded, "base": {"log_every": 100, **base, **THEN}}


def run_of(recorded: Mapping[str, Any]) -> RunSpec:
    """A run of a sweep by the options that were recorded."""
    if "split_seed" in recorded:
        return RunSpec.model_validate(recorded)
    return RunSpec.model_validate(earlier.spec_of(recorded) | {"measure": THEN["measure"]})


def rows_of(recorded: pa.Table) -> pa.Table:
    """Rows of runs.parquet: the same runs by the names that they have now."""
    rows = []
    for before in recorded.to_pylist():
        spec = run_of(json.loads(before["spec"]))
        figures = earlier.figures_of({name: before.get(name) for name in FIGURES})
        rows.append(
            {
                "run": run_id(spec),
                "status": before["status"],
                **option_columns(spec, before["loss"]),
                **figures,
                "spec": canonical(spec),
            }
        )
    return pa.Table.from_pylist(rows, schema=RUNS)


def part_of(recorded: pa.Table, before: pa.Table, now: pa.Table, schema: pa.Schema) -> pa.Table:
    """A part of the evaluations or histories, whose runs were called otherwise.

    Args:
        recorded: the part.
        before: the rows of its runs as they were recorded.
        now: the same rows by today's names.
        schema: of the part.
    """
    called = dict(zip(before["run"].to_pylist(), now["run"].to_pylist(), strict=True))
    runs: Any = recorded["run"].unify_dictionaries().combine_chunks()
    names = pa.array([called[name] for name in runs.dictionary.to_pylist()], pa.string())
    named = pa.DictionaryArray.from_arrays(runs.indices, names)
    own = pa.schema(list(schema)[1:])
    complete = earlier.evaluation_of if "train_loss" in own.names else earlier.history_of
    columns = complete(recorded.drop_columns(["run"]), own).select(own.names)
    return pa.Table.from_arrays([named, *columns.columns], schema=schema)
