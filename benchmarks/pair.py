"""What two single-threaded runs cost each other: side by side, beside one alone on the machine.

That is how a sweep runs. Alone and side by side take turns. An epoch counts if it is not the first
of its run and lies wholly within the training of the other.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import processes
from benchmarks.contenders import Job, Measurement, Paddock, by_gradus, read
from benchmarks.markdown import describe_machine, markdown
from benchmarks.reference import METHODS, TRAIN, add_data_dir, positive, refuse

SHARE = 0.9
"""Of the speed of one alone that each is to have."""
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Turn:
    """Seconds per epoch of one alone, and of each of two; None where no epoch counts."""

    alone: float
    pair: tuple[float | None, float | None]
    measured: Sequence[Measurement]

    @property
    def shares(self) -> list[float]:
        """The speed of each of the two, as a share of that of the one."""
        return [self.alone / seconds for seconds in self.pair if seconds is not None]


def run_together(job: Job, engine: str, count: int) -> list[Measurement]:
    """So many runs of the job at once, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        results = [Path(folder) / f"{index}.json" for index in range(count)]
        commands = [by_gradus(job, engine, result) for result in results]
        costs = processes.run_together(commands, variables=ONE_THREAD)
        return [
            read(result, cost, job, engine) for result, cost in zip(results, costs, strict=True)
        ]


def seconds_beside(one: Measurement, other: Measurement) -> float | None:
    """Seconds of the epochs that had company throughout: their median."""
    first, last = other.epochs[0][0], other.epochs[-1][1]
    counted = [ended - began for began, ended in one.epochs[1:] if first <= began and ended <= last]
    return statistics.median(counted) if counted else None


def take_turn(job: Job, engine: str) -> Turn:
    """One alone, then two side by side."""
    alone, (a, b) = run_together(job, engine, 1), run_together(job, engine, 2)
    return Turn(alone[0].train, (seconds_beside(a, b), seconds_beside(b, a)), [*alone, a, b])


def table(turns: Sequence[Turn], samples: int) -> list[list[str]]:
    """A row for each run: seconds of an epoch, and the share with its range over the turns."""
    scale = TRAIN / samples
    alone = statistics.median(turn.alone for turn in turns) * scale
    rows = [
        ["run", "s per epoch", "speed, of one alone", "target", ""],
        ["alone", f"{alone:.2f}", "", "", ""],
    ]
    for which, name in enumerate(("first of two", "second of two")):
        found = [(turn.alone, seconds) for turn in turns if (seconds := turn.pair[which])]
        if not found:
            rows.append([name, "no epoch of it lies within the other run", "", "", ""])
            continue
        seconds = statistics.median(seconds for _, seconds in found) * scale
        shares = [lone / seconds for lone, seconds in found]
        share = statistics.median(shares)
        rows.append([
            name, f"{seconds:.2f}", f"{share:.0%} ({min(shares):.0%}–{max(shares):.0%})",
            f"≥ {SHARE:.0%}", "reached" if share >= SHARE else "MISSED",
        ])  # fmt: skip
    return rows


def main() -> None:
    """Measure, telling every turn on stderr, and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pair",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--engine", default="native")
    parser.add_argument("--method", choices=METHODS, default="sgd")
    parser.add_argument("--batch-size", type=positive, default=16, metavar="N")
    parser.add_argument("--epochs", type=positive, default=6, metavar="N")
    parser.add_argument("--samples-per-run", type=positive, default=16384, metavar="N")
    parser.add_argument("--repeats", type=positive, default=5, metavar="R", help="turns")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement there")
    add_data_dir(parser)
    given = parser.parse_args()
    samples = given.samples_per_run
    if not given.batch_size <= samples <= TRAIN:
        refuse(f"--samples-per-run {samples}: give a number from {given.batch_size} to {TRAIN}")
    if given.epochs < 2:
        refuse(f"--epochs {given.epochs}: give 2 or more: the first warms up")
    turns = []
    with tempfile.TemporaryDirectory() as scratch:
        paddock = Paddock(Path(scratch), given.data_dir)
        job = paddock.job(given.method, given.batch_size, samples, given.epochs)
        try:
            for number in range(1, given.repeats + 1):
                turns.append(take_turn(job, given.engine))
                told = ", ".join(f"{share:.0%}" for share in turns[-1].shares)
                taken = max(one.others or 0.0 for one in turns[-1].measured)
                print(
                    f"turn {number}  {told}; others took {taken:.0%} of the processors at most",
                    file=sys.stderr,
                    flush=True,
                )
        except processes.ProcessFailedError as error:
            refuse(str(error))
        except KeyboardInterrupt:
            refuse("interrupted: nothing is printed of an unfinished comparison")
    taken = max(one.others or 0.0 for turn in turns for one in turn.measured)
    print(
        f"MLP 784-512-512-10, Fashion-MNIST, {given.method}, batch {given.batch_size}, engine "
        f"{given.engine}, one thread a run; {given.epochs} epochs of {samples:,} samples, seconds "
        f"of an epoch of {TRAIN:,}; medians of {len(turns)} turns\n{describe_machine()}; others "
        f"took {taken:.0%} of the processors at most\n\n{markdown(table(turns, samples))}"
    )
    if given.json is not None:
        content = {"machine": describe_machine(), "turns": [asdict(turn) for turn in turns]}
        given.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
