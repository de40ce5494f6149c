"""What `gradus train FILE --target T` makes of tables, nothing else said, beside scikit-learn.

For each table, of test rows that are the same for all,

    ratio = (score - constant) / (best - constant),

where the score is accuracy or R², best is that of the best of scikit-learn's linear model, MLP and
gradient boosting (benchmarks/table_opponents.py), and all are means over several splits. Time is
that of the whole process less its start-up, over what the MLP takes to fit. Start-up is the same
command with a linear model and few epochs on a table of a few rows. With --in-process all commands
run in one process, one after another: sooner, where others use the machine too.

Defaults were chosen on the tables of one half; what holds of the other half is what is to be
expected of a table that nobody has seen.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.environments import TABLES
from benchmarks.markdown import describe_machine, markdown
from benchmarks.processes import Cost, ProcessFailedError, run
from benchmarks.table_sources import SOURCES, half
from gradus.data.partition import Parts, Rows, three_parts

Execute = Callable[[Sequence[str]], Cost]
"""Runs a command of Gradus."""

OPPONENTS = ("linear", "MLP", "boosting")
TINY_ROWS = 30
CLOSE = 1e-6
"""How far apart two figures of the same constant may be."""


class Fitted(NamedTuple):
    """What one tool makes of one split.

    Attributes:
        wall: seconds that it takes.
        processor: seconds that it computes, on all processors together.
    """

    score: float
    wall: float
    processor: float


@dataclass(frozen=True)
class Split:
    """What all make of one split of a table.

    Attributes:
        constant: the score of the best constant.
        opponents: by name.
        gradus: ours, None where it failed.
        failure: why.
    """

    constant: float
    opponents: dict[str, Fitted]
    gradus: Fitted | None
    failure: str | None = None


@dataclass(frozen=True)
class Verdict:
    """A table over all its splits.

    Attributes:
        ratio: of the means; 0 for a split that failed.
        error: its standard error over the splits, the rest held.
        wall: seconds over those of the MLP.
        processor: likewise.
    """

    name: str
    rows: int
    constant: float
    scores: dict[str, float]
    best: str
    gradus: float
    ratio: float
    error: float
    wall: float
    processor: float
    failure: str | None


def verdict(name: str, rows: int, splits: Sequence[Split]) -> Verdict:
    """The means over the splits, and what follows from them."""
    constant = np.array([split.constant for split in splits])
    scores = {
        model: np.array([split.opponents[model].score for split in splits]) for model in OPPONENTS
    }
    best = max(scores, key=lambda model: float(scores[model].mean()))
    ours = np.array(
        [split.constant if split.gradus is None else split.gradus.score for split in splits]
    )
    gained, possible = ours - constant, scores[best] - constant
    ratio = gained.mean() / possible.mean()
    # By the first order of a ratio of means.
    spread = (gained - ratio * possible).std(ddof=1) if len(splits) > 1 else np.nan
    walls, processors = (
        [
            getattr(split.gradus, kind) / getattr(split.opponents["MLP"], kind)
            for split in splits
            if split.gradus is not None
        ]
        for kind in ("wall", "processor")
    )
    return Verdict(
        name,
        rows,
        float(constant.mean()),
        {model: float(found.mean()) for model, found in scores.items()},
        best,
        float(ours.mean()),
        float(ratio),
        float(spread / np.sqrt(len(splits)) / possible.mean()),
        median(walls) if walls else np.nan,
        median(processors) if processors else np.nan,
        next((split.failure for split in splits if split.failure), None),
    )


class Table:
    """One table on disk, as its user has it."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name, self.source = name, SOURCES[name]
        self.path = folder / f"{name}.csv"
        with self.path.open(encoding="utf-8", newline="") as file:
            values = [row[self.source.target] for row in csv.DictReader(file)]
        told = [value for value in values if value]
        self.targets: NDArray[Any]
        if self.source.task == "classes":
            self.targets = np.unique(told, return_inverse=True)[1].astype(np.int64)
        else:
            self.targets = np.array(told, float)

    def rows(self, seed: int) -> Rows:
        """The split that Gradus draws by this seed, of the rows that have a target."""
        labels = torch.from_numpy(self.targets) if self.source.task == "classes" else None
        return three_parts(len(self.targets), Parts(seed=seed), labels=labels)

    def constant(self, seed: int) -> float:
        """The score of the best constant for the rows that train, on those that test."""
        train, _, test = self.rows(seed)
        known, asked = self.targets[train.numpy()], self.targets[test.numpy()]
        if self.source.task == "classes":
            return float((asked == np.bincount(known).argmax()).mean())
        return float(1 - ((asked - known.mean()) ** 2).mean() / asked.var())

    def opponents(self, splits: int) -> list[dict[str, Any]]:
        """What scikit-learn makes of every split; what trains and what validates, it learns from.

        What was measured before is taken from beside the table.
        """
        told = self.path.with_suffix(".json")
        if not told.exists():
            rows = self.path.with_suffix(".npz")
            given: dict[str, NDArray[np.int64]] = {}
            for seed in range(splits):
                train, validation, test = self.rows(seed)
                given[f"fit{seed}"] = torch.cat([train, validation]).sort().values.numpy()
                given[f"test{seed}"] = test.numpy()
            np.savez(rows, **given)  # type: ignore[arg-type]  # of its other keywords
            source = self.source
            arguments = [str(self.path), source.target, source.task, str(rows), str(told)]
            run(["-m", "benchmarks.table_opponents", *arguments], python=TABLES.python())
        found: list[dict[str, Any]] = json.loads(told.read_text(encoding="utf-8"))
        return found[:splits]

    def gradus(
        self, seed: int, options: Sequence[str], startup: Cost, execute: Execute
    ) -> tuple[Fitted, float]:
        """What Gradus makes of a split, and what it says of the constant.

        Raises:
            ProcessFailedError: the command refused, or the run failed.
        """
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            seeds = ["--seed", str(seed), "--split-seed", str(seed)]
            cost = _train(self.path, self.source.target, out, [*seeds, *options], execute)
            record = json.loads((out / "run.json").read_text(encoding="utf-8"))
        figure = record["figures"]["test"]["accuracy" if self.source.task == "classes" else "r2"]
        seconds = cost.wall - startup.wall, cost.processor - startup.processor
        return Fitted(figure["value"], *seconds), figure["constant"]

    def measure(
        self, splits: int, options: Sequence[str], startup: Cost, execute: Execute
    ) -> Iterator[Split]:
        """Every split."""
        for seed, told in enumerate(self.opponents(splits)):
            opponents = {name: Fitted(**told[name]) for name in OPPONENTS}
            expected = self.constant(seed)
            try:
                fitted, constant = self.gradus(seed, options, startup, execute)
            except ProcessFailedError as error:
                yield Split(expected, opponents, None, str(error))
                continue
            if abs(constant - expected) > CLOSE:
                raise AssertionError(
                    f"{self.name}, split {seed}: the constant scores {constant} on the rows that "
                    f"Gradus tests on, {expected} on those of scikit-learn: they are not the same"
                )
            yield Split(expected, opponents, fitted)


def _train(path: Path, target: str, out: Path, options: Sequence[str], execute: Execute) -> Cost:
    """What the whole command costs."""
    return execute(["train", str(path), "--target", target, *options, "--quiet", "--out", str(out)])


def _process(arguments: Sequence[str]) -> Cost:
    return run(["-m", "gradus", *arguments])


def _here(arguments: Sequence[str]) -> Cost:
    """What a command costs in this process; what it prints is not shown."""
    from gradus.cli import main

    started, wall, processor = time.time(), time.perf_counter(), time.process_time()
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as told:
        try:
            main(arguments)
        except SystemExit as ended:
            if ended.code:
                message = told.getvalue().strip() or f"exit code {ended.code}"
                raise ProcessFailedError(message) from None
    took = time.perf_counter() - wall, time.process_time() - processor
    return Cost(started, *took, peak=math.nan, others=None)


def startup(execute: Execute) -> Cost:
    """What the command costs where there is next to nothing to do."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "line.csv"
        lines = ["x,y", *(f"{at}.5,{2 * at}.5" for at in range(TINY_ROWS))]
        path.write_text("\n".join(lines), encoding="utf-8")
        options = ["--model", "linear", "--lr", "0.1", "--epochs", "9"]
        return _train(path, "y", Path(folder) / "run", options, execute)


def report(verdicts: Sequence[Verdict]) -> str:
    """A table, worst first, its times over those of the MLP; and what it comes to."""
    head = [
        "table",
        "rows",
        "constant",
        *OPPONENTS,
        "gradus",
        "ratio",
        "time / MLP",
        "processor / MLP",
    ]
    rows = [
        [
            found.name,
            f"{found.rows:,}",
            f"{found.constant:.3f}",
            *(f"{found.scores[name]:.3f}" for name in OPPONENTS),
            found.failure or f"{found.gradus:.3f}",
            f"{found.ratio:.2f} ± {found.error:.2f}",
            f"{found.wall:.2f}",
            f"{found.processor:.2f}",
        ]
        for found in sorted(verdicts, key=lambda found: found.ratio)
    ]
    ratios = [found.ratio for found in verdicts]
    times, computed = (
        [getattr(found, kind) for found in verdicts if found.failure is None]
        for kind in ("wall", "processor")
    )
    quarter = quantiles(ratios, n=4, method="inclusive")[0] if len(ratios) > 1 else ratios[0]
    equal = sum(found.ratio + found.error >= 1 for found in verdicts)
    told = (
        f"{len(ratios)} tables: ratio median {median(ratios):.3f}, lower quartile {quarter:.3f}, "
        f"least {min(ratios):.2f}; {equal} reach 1 within a standard error; time / MLP median "
        f"{median(times):.2f}, most {max(times):.2f}; processor / MLP median {median(computed):.2f}"
    )
    return markdown([head, *rows]) + "\n\n" + told


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    """Where tables and what scikit-learn made of them are kept."""
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def main() -> None:
    """Print the table of one half, or of both, with how long it took beside the MLP."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("half", choices=("build", "held"), help="which tables")
    parser.add_argument("--splits", type=int, default=5, help="of each table [default: 5]")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some tables of that half")
    parser.add_argument(
        "--folder", type=Path, help="keep tables and what scikit-learn makes of them, for next time"
    )
    parser.add_argument("--in-process", action="store_true", help="start no process for each run")
    parser.add_argument("options", nargs="*", help="of gradus train, after --")
    given = parser.parse_args()
    names = [name for name in sorted(SOURCES) if half(name) == given.half]
    if given.only:
        names = [name for name in names if name in given.only]
    print(describe_machine() + "\n")
    with _folder(given.folder) as folder:
        absent = [name for name in names if not (folder / f"{name}.csv").exists()]
        if absent:
            run(["-m", "benchmarks.table_sources", str(folder), *absent], python=TABLES.python())
        execute = _here if given.in_process else _process
        startup(execute)  # fills the caches of files
        verdicts, started = [], []
        for name in names:
            table = Table(folder, name)
            started.append(startup(execute))  # again, as others may slow the machine down
            splits = [*table.measure(given.splits, given.options, started[-1], execute)]
            verdicts.append(verdict(name, len(table.targets), splits))
            _tell(f"{name}: ratio {verdicts[-1].ratio:.2f}, time {verdicts[-1].wall:.2f}")
    print(report(verdicts))
    seconds = median(cost.wall for cost in started)
    print(f"start-up {seconds:.1f} s, OMP_NUM_THREADS {os.environ.get('OMP_NUM_THREADS', 'unset')}")


def _tell(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
