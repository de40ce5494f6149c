"""The table: how often the right cause is named, false alarms, what the advice is worth.

A finding is right if its cause is among those that are declared right for the fault that was
planted (``causes`` of each :class:`~benchmarks.doctor.faults.Fault`); no finding is wrong. A
healthy run is a false alarm if anything is confirmed. Intervals are of 2,000 drawings of the tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.doctor.examine import records
from benchmarks.doctor.opponents import ALWAYS, PUBLISHED
from benchmarks.doctor.tasks import Half
from benchmarks.markdown import describe_machine, markdown

Record = dict[str, Any]
DRAWINGS = 2_000
FAULTY, ALLOWED = ("fault", "pair"), 10.0


def named(record: Record) -> list[str]:
    """The causes that the doctor names, in its order."""
    return [each["cause"] for each in record["findings"]]


def by_curves(record: Record) -> list[str]:
    """Those that the rules on the curves name."""
    return list(record["curves"])


def always(record: Record) -> list[str]:
    """The learning rate, of which way is not asked."""
    right = _right(record)
    return [next((cause for cause in ALWAYS if cause in right), ALWAYS[0])]


def _right(record: Record) -> set[str]:
    return {cause for causes in record["right"] for cause in causes}


def _first(record: Record, said: list[str]) -> float:
    return float(bool(said) and said[0] in _right(record))


def _of_two(record: Record, said: list[str]) -> float:
    return float(bool(_right(record) & set(said[:2])))


def share(rows: Sequence[Record], figure: Callable[[Record], float]) -> str:
    """The mean in per cent, with the middle 95 % of what it is on drawings of the tasks."""
    if not rows:
        return "none"
    by_task: dict[str, list[float]] = {}
    for row in rows:
        by_task.setdefault(row["task"], []).append(figure(row))
    sums = np.array([[sum(values), len(values)] for values in by_task.values()])
    random = np.random.default_rng(0)
    drawn = sums[random.integers(len(sums), size=(DRAWINGS, len(sums)))].sum(axis=1)
    low, high = 100 * np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    mean = 100 * sums[:, 0].sum() / sums[:, 1].sum()
    return f"{mean:.0f} % ({low:.0f}–{high:.0f}) of {len(rows)}"


def table(half: Half) -> list[list[str]]:
    """One row a figure, one column who is asked."""
    rows = records(half)
    faulty = [row for row in rows if row["group"] in FAULTY]
    pairs = [row for row in rows if row["group"] == "pair" and len(row["right"]) == 2]
    cases = [row for row in rows if row["group"] == "case"]
    who: list[tuple[str, Callable[[Record], list[str]]]] = [
        ("doctor", named), ("always the learning rate", always), ("rules on curves", by_curves),
    ]  # fmt: skip
    head = ["", *(name for name, _ in who), "to reach"]

    def line(name: str, of: list[Record], figure: Any, goal: str) -> list[str]:
        return [name, *(share(of, lambda r, s=said: figure(r, s(r))) for _, said in who), goal]  # type: ignore[misc]

    def both(record: Record, said: list[str]) -> float:
        return float(all(set(causes) & set(said[:2]) for causes in record["right"]))

    lines = [
        head,
        line("right cause first", faulty, _first, "≥ 90 %"),
        line("among the first two", faulty, _of_two, "≥ 95 %"),
        line("both of a pair in the first two", pairs, both, ""),
        line("right cause first, real cases", cases, _first, ""),
        line("among the first two, real cases", cases, _of_two, ""),
    ]
    for group, goal in (("plain", "≤ 2 %"), ("odd", "≤ 10 %")):
        of = [row for row in rows if row["group"] == group]
        told = share(of, lambda r: float(any(e["state"] == "confirmed" for e in r["findings"])))
        curves = share(of, lambda r: float(bool(r["curves"])))
        lines.append([f"false alarms, {group}", told, "100 %", curves, goal])
    advised = [row for row in faulty + cases if row.get("advice")]
    lines.append(
        ["following the first advice helps", share(advised, lambda r: float(r["advice"]["counts"])),
         "", "", "≥ 90 %"]
    )  # fmt: skip
    lines.append(["time", _time(rows), "", "", "≤ 2 runs, or 10 s"])
    return lines


def _time(rows: list[Record]) -> str:
    asked = [row for row in rows if row["seconds"]]
    if not asked:
        return "none"
    seconds = float(np.median([row["seconds"] for row in asked]))
    within = np.mean([row["seconds"] <= max(ALLOWED, 2 * row["run_seconds"]) for row in asked])
    return f"median {seconds:.1f} s, {100 * within:.0f} % within"


def by_kind(half: Half) -> list[list[str]]:
    """For each kind of fault how often it is named first, and what is said in its place."""
    lines = [["fault", "first", "among two", "else said first"]]
    kinds: dict[str, list[Record]] = {}
    for row in records(half):
        if row["group"] == "fault":
            kinds.setdefault(row["name"].split(": ")[2].rpartition(" (")[0], []).append(row)
    for kind, rows in sorted(kinds.items()):
        wrong = [next(iter(named(row)), "nothing") for row in rows if not _first(row, named(row))]
        first = sum(_first(row, named(row)) for row in rows)
        two = sum(_of_two(row, named(row)) for row in rows)
        lines.append(
            [kind, f"{first:.0f} of {len(rows)}", f"{two:.0f}", ", ".join(sorted(set(wrong)))]
        )
    return lines


def show(half: Half) -> None:
    """Print all tables of a half."""
    print(describe_machine())
    print(f"\n{markdown(table(half))}\n\n{markdown(by_kind(half))}\n")
    for name, figure in PUBLISHED:
        print(f"- {name}: {figure}.")
