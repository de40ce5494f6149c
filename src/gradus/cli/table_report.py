"""What is said of a table: what was done with each column, and which settings followed from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gradus.data.dataset import Treatment
from gradus.errors import brief

MOST_COLUMNS = 24
"""Columns of a table that are listed one by one; the record has all of them."""


def treatment_lines(treatments: Sequence[Treatment]) -> Iterator[str]:
    r"""A line for each column: what it was taken for, how many rows lack it, what was done.

    Example:
        >>> print(*treatment_lines([Treatment("age", "numbers", 3, "filled with 40")]), sep="\n")
        column  taken for  missing  done
        age     numbers          3  filled with 40
    """
    if not treatments:
        return
    rows = [("column", "taken for", "missing", "done")]
    for name, taken_for, missing, done in treatments[:MOST_COLUMNS]:
        rows.append((brief(name, 40) or '""', taken_for, f"{missing:,}" if missing else "", done))
    widths = [max(len(row[at]) for row in rows) for at in range(3)]
    for name, taken_for, count, done in rows:
        yield f"{name:{widths[0]}}  {taken_for:{widths[1]}}  {count:>{widths[2]}}  {done}".rstrip()
    if (more := len(treatments) - MOST_COLUMNS) > 0:
        yield f".. and {more:,} more, which the record has"


def chosen_line(auto: Mapping[str, Any], options: Mapping[str, Any], ended: int | None) -> str:
    """The settings that were not given, in one line; empty where all were.

    Args:
        auto: those settings by name.
        options: all of the run.
        ended: after which epoch the run ended for want of a better one, None where it did not.

    Example:
        >>> chosen = {"standardize": True, "method": "adamw", "lr": 0.003, "epochs": 64}
        >>> chosen_line(chosen, chosen, 31)
        'inputs standardised, adamw lr 0.003, 64 epochs at most, ended after 31'
    """
    said = []
    scaled = [
        name
        for option, name in (("standardize", "inputs"), ("standardize_target", "target"))
        if auto.get(option) and options[option]
    ]
    if scaled:
        how = " robustly" if auto.get("scaling") == "robust" else ""
        said.append(f"{' and '.join(scaled)} standardised{how}")
    if auto.get("pieces"):
        said.append(f"numbers cut into {options['pieces']} pieces")
    if "method" in auto:
        schedule = f" with {options['schedule']}" if auto.get("schedule") else ""
        decay = f" weight decay {options['weight_decay']:g}" if auto.get("weight_decay") else ""
        said.append(f"{options['method']} lr {options['lr']:g}{decay}{schedule}")
    if auto.get("hidden"):
        nets = f"{options['models']} nets with " if auto.get("models", 1) > 1 else ""
        said.append(f"{nets}hidden layers of {', '.join(map(str, options['hidden']))}")
    if auto.get("batch_size"):
        said.append(f"batches of {options['batch_size']}")
    if auto.get("epochs"):
        said.append(f"{options['epochs']} epochs at most")
    if auto.get("patience"):
        said.append(f"patience {options['patience']}")
    if said and ended is not None:
        said.append(f"ended after {ended}")
    return ", ".join(said)
