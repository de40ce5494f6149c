"""Which planted faults are faults: those whose undoing helps, by more than three standard errors.

Faulty and sound are trained from five seeds each, in pairs, and judged on examples that neither
has. What counts is kept in ``truth.json`` beside this file, which ``python -m benchmarks.doctor
truth`` makes and goes on with.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.doctor.plant import Planted, drawing_of, planted
from benchmarks.doctor.trials import Trial, train
from gradus.errors import InputError

SEEDS = range(5)
ERRORS = 3.0
LEAST = {"log loss": 0.01, "error": 0.004, "nrmse": 0.01}
"""What it has to help by at least, for figures that are the same for every seed."""

KEPT = Path(__file__).with_name("truth.json")


@cache
def _known() -> dict[str, list[dict[str, float]]]:
    return {}


def figures(trial: Trial) -> list[dict[str, float]]:
    """Of five seeds what a trial reaches, trained once only."""
    known = _known()
    if trial.key not in known:
        known[trial.key] = [trial.judge(train(trial, seed)) for seed in SEEDS]
    return known[trial.key]


def helps(worse: list[dict[str, float]], better: list[dict[str, float]]) -> dict[str, Any]:
    """By how much one is better than the other, on the finest figure that both have.

    Example:
        >>> helps([{"error": 0.5}, {"error": 0.6}], [{"error": 0.1}, {"error": 0.1}])["counts"]
        True
    """
    measure = next(name for name in LEAST if name in worse[0] and name in better[0])
    pairs = zip(worse, better, strict=True)
    gains = [faulty[measure] - sound[measure] for faulty, sound in pairs]
    mean = statistics.fmean(gains)
    error = statistics.stdev(gains) / len(gains) ** 0.5
    return {
        "measure": measure,
        "faulty": round(statistics.fmean(each[measure] for each in worse), 5),
        "sound": round(statistics.fmean(each[measure] for each in better), 5),
        "gain": round(mean, 5),
        "standard_error": round(error, 6),
        "counts": mean > ERRORS * error and mean >= LEAST[measure],
    }


def measured(plant: Planted) -> dict[str, Any]:
    """What its undoing is good for; of a pair, of each in the presence of the other too."""
    record: dict[str, Any] = {
        "number": plant.number, "task": plant.task, "half": plant.half, "faults": plant.faults,
    }  # fmt: skip
    try:
        faulty = figures(plant.trial)
    except InputError as error:
        return record | {"refused": str(error), "counts": False}
    record |= helps(faulty, figures(plant.with_only(())))
    if len(plant.faults) == 2:
        kept = [figures(plant.with_only((index,))) for index in (1, 0)]
        alone = [
            helps(faulty, without)["counts"] or helps(other, figures(plant.with_only(())))["counts"]
            for without, other in zip(kept, reversed(kept), strict=True)
        ]
        record["each"] = alone
        record["counts"] = record["counts"] and any(alone)
    return record


def write() -> None:
    """Measure all that is drawn and not yet known, one after another."""
    records = _records()
    for plant in planted():
        if _enough(records, plant):
            continue
        known = records.get(plant.number)
        if known is not None and [known["task"], known["faults"]] == [
            plant.task, [list(fault) for fault in plant.faults]
        ]:  # fmt: skip
            continue
        record = measured(plant)
        records[plant.number] = json.loads(json.dumps(record))
        _write(records)
        told = {name: value for name, value in record.items() if name not in ("faults", "number")}
        print(plant.name, told, sep="  ", file=sys.stderr, flush=True)


def _enough(records: dict[int, dict[str, Any]], plant: Planted) -> bool:
    """Whether as many as are wanted are known to count, of those before it that are like it."""
    group, wanted = _like(plant.number)
    counts = [
        each["counts"] for number, each in records.items()
        if number < plant.number and _like(number)[0] == group
    ]  # fmt: skip
    return bool(sum(counts) >= wanted)


def _like(number: int) -> tuple[tuple[int, bool], int]:
    """What tells the drawing and whether it is of a pair; and how many of those are wanted."""
    drawing = drawing_of(number)
    of_pair = drawing.is_pair(number)
    return (drawing.first, of_pair), drawing.pairs if of_pair else drawing.alone


def _records() -> dict[int, dict[str, Any]]:
    if not KEPT.exists():
        return {}
    return {each["number"]: each for each in json.loads(KEPT.read_text(encoding="utf-8"))}


def _write(records: dict[int, dict[str, Any]]) -> None:
    lines = ",\n".join(json.dumps(records[number]) for number in sorted(records))
    beside = KEPT.with_suffix(".part")
    beside.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    beside.replace(KEPT)


def counted() -> Iterator[tuple[Planted, dict[str, Any]]]:
    """The planted faults that count, each with what was measured of it: alone, then pairs."""
    records = _records()
    taken: Counter[tuple[int, bool]] = Counter()
    for plant in planted():
        record = records.get(plant.number)
        group, wanted = _like(plant.number)
        if record is not None and record["counts"] and taken[group] < wanted:
            taken[group] += 1
            yield plant, record
