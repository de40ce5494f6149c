"""How long an epoch of the reference job takes, beside the plain script and tensors in memory.

Every contender runs in a process of its own, with torch's own number of threads; they take turns,
so that what else the machine does falls on all of them, and are compared within a turn. With
``--patience`` they wait for a machine that nobody else uses, and a turn in which others took more
than 10 % of it is measured again, all of it. A turn that stayed disturbed is not counted, unless
all of its batch size did.

    gradus   the command: ``gradus train fashion-mnist --sampling sequential``, everything included
    memory   PyTorch on tensors in memory, each batch sliced and converted, fused optimizer
    plain    the plain PyTorch script: DataLoader over images converted one by one
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from benchmarks import processes
from benchmarks.reference import (
    LR,
    METHODS,
    MOMENTUM,
    SEED,
    TRAIN,
    add_data_options,
    find_data,
    refuse,
)
from benchmarks.tables import describe_machine, markdown

Contender = Literal["gradus", "memory", "plain"]
CONTENDERS: tuple[Contender, ...] = ("gradus", "memory", "plain")

WITHIN_MEMORY = {16: 1.6, 256: 1.15}
"""How many times as long as ``memory`` an epoch may take, by batch size."""
FASTER_THAN_PLAIN = 2.0
PEAK_MB = 700.0
FIRST_STEP_SECONDS = 4.0
HELP_SECONDS = 0.3

DISTURBED = 0.1
"""The share of all processors that others may take of an undisturbed measurement."""

HELP = ("-c", "from gradus.cli import main; main(['--help'])")


@dataclass(frozen=True)
class Measurement:
    """One contender in one turn: seconds per epoch, and of the whole process.

    Attributes:
        train: the training pass alone, seconds per epoch.
        test: the test pass alone, seconds per epoch.
        test_loss: after the last epoch; contenders that do the same job agree in it.
        peak: the most memory the process held, MB.
        first_step: seconds from the start of the process until its first step had been taken;
            known of gradus only.
        whole: seconds from the start of the process to its end.
        others: the share of all processors that others took meanwhile, None where unknown.
    """

    turn: int
    batch_size: int
    contender: Contender
    train: float
    test: float
    test_loss: float
    peak: float
    first_step: float | None
    whole: float
    others: float | None


@dataclass(frozen=True)
class Job:
    """What is measured; ``data`` is what ``gradus train`` is told to load the same files."""

    method: str
    epochs: int
    folder: Path
    data: tuple[str, ...]


def measure(job: Job, batch_size: int, contender: Contender, turn: int) -> Measurement:
    """Run one contender once."""
    with tempfile.TemporaryDirectory() as scratch:
        result = Path(scratch) / "result.json"
        if contender == "gradus":
            options = {
                "method": job.method, "lr": LR, "batch-size": batch_size, "epochs": job.epochs,
                "sampling": "sequential", "seed": SEED, "engine": "eager", "device": "cpu",
            }  # fmt: skip
            if job.method == "sgd":
                options["momentum"] = MOMENTUM
            arguments = ["train", *job.data]
            arguments += [f"--{name}={value}" for name, value in options.items()]
            out = str(Path(scratch) / "run")
            cost = processes.run(["-m", "benchmarks.command", str(result), out, *arguments])
        else:
            arguments = [str(result), contender, str(job.folder), job.method]
            arguments += [str(batch_size), str(job.epochs)]
            cost = processes.run(["-m", "benchmarks.peers", *arguments])
        told = json.loads(result.read_text(encoding="utf-8"))
    first_step_at = told.get("first_step_at")
    return Measurement(
        turn=turn,
        batch_size=batch_size,
        contender=contender,
        train=told["train_seconds"],
        test=told["test_seconds"],
        test_loss=told["test_loss"],
        peak=cost.peak,
        first_step=None if first_step_at is None else first_step_at - cost.started,
        whole=cost.wall,
        others=cost.others,
    )


def measure_turn(job: Job, batch_size: int, turn: int, patience: float) -> list[Measurement]:
    """Run every contender once, and all of them again while others disturbed any.

    A turn is kept or repeated as a whole, so that what is compared was measured side by side.

    Args:
        job: what is measured.
        batch_size: of all contenders.
        turn: its number, for the record.
        patience: seconds after which the turn is kept as it is.
    """
    until = time.monotonic() + patience
    while True:
        measured: list[Measurement] = []
        for contender in CONTENDERS:
            while time.monotonic() < until and processes.share_taken_by_others() > DISTURBED:
                pass
            one = measure(job, batch_size, contender, turn)
            measured.append(one)
            _tell(
                f"turn {turn}  batch {batch_size}  {contender:<6}  "
                f"{one.train:.2f} s per epoch, {one.whole:.1f} s in all{_taken([one])}"
            )
            if time.monotonic() < until and (one.others or 0.0) > DISTURBED:
                _tell("disturbed: this turn is measured again")
                break
        else:
            return measured


def table(
    measured: Sequence[Measurement], batch_sizes: Sequence[int], help_seconds: Sequence[float]
) -> list[list[str]]:
    """The rows: medians over the turns; ratios are taken turn by turn, their range in brackets."""
    rows = [["batch", "measured", *CONTENDERS, "target", ""]]
    for batch_size in batch_sizes:
        turns, note = _counted([m for m in measured if m.batch_size == batch_size])
        by = {contender: [m for m in turns if m.contender == contender] for contender in CONTENDERS}
        rows.append([str(batch_size), "turns counted", note, "", "", "", ""])
        rows += [[str(batch_size), *row] for row in _rows_of(by, WITHIN_MEMORY.get(batch_size))]
    seconds = statistics.median(help_seconds)
    rows.append(
        ["", "`gradus --help`, s", f"{seconds:.2f}", "", "", *_below(seconds, HELP_SECONDS, "s")]
    )
    return rows


def _counted(measured: Sequence[Measurement]) -> tuple[Sequence[Measurement], str]:
    """The turns that nobody disturbed, or all where there are none; and how many they are."""
    turns = {m.turn for m in measured}
    disturbed = {m.turn for m in measured if (m.others or 0.0) > DISTURBED}
    if disturbed == turns:
        return measured, f"{len(turns)}, all disturbed"
    kept = [m for m in measured if m.turn not in disturbed]
    return kept, f"{len(turns - disturbed)} of {len(turns)}"


def _rows_of(
    by: Mapping[Contender, Sequence[Measurement]], within_memory: float | None
) -> list[list[str]]:
    """The rows of one batch size."""

    def medians(name: str, of: Callable[[Measurement], float], digits: int) -> list[str]:
        figures = [statistics.median(map(of, by[contender])) for contender in CONTENDERS]
        return [name, *(f"{figure:.{digits}f}" for figure in figures)]

    own = by["gradus"]
    against_memory = _ratios(own, by["memory"])
    against_plain = _ratios(by["plain"], own)
    peak = statistics.median(m.peak for m in own)
    first_step = statistics.median(m.first_step or 0.0 for m in own)
    slower, faster = statistics.median(against_memory), statistics.median(against_plain)
    return [
        [*medians("training pass, s per epoch", lambda m: m.train, 2), "", ""],
        [
            "gradus / memory", f"{slower:.2f}× {_range(against_memory)}", "", "",
            *(("", "") if within_memory is None else _at_most(against_memory, within_memory)),
        ],
        [
            "plain / gradus", f"{faster:.2f}× {_range(against_plain)}", "", "",
            f"≥ {FASTER_THAN_PLAIN:g} ×", _verdict(
                faster >= FASTER_THAN_PLAIN, [ratio >= FASTER_THAN_PLAIN for ratio in against_plain]
            ),
        ],
        [*medians("training and test pass, s per epoch", lambda m: m.train + m.test, 2), "", ""],
        [*medians("peak memory, MB", lambda m: m.peak, 0), *_below(peak, PEAK_MB, "MB")],
        [
            "command to first step, s", f"{first_step:.2f}", "", "",
            *_below(first_step, FIRST_STEP_SECONDS, "s"),
        ],
        [*medians("whole process, s", lambda m: m.whole, 2), "", ""],
        [*medians("test loss after the last epoch", lambda m: m.test_loss, 4), "", ""],
    ]  # fmt: skip


def _ratios(above: Sequence[Measurement], below: Sequence[Measurement]) -> list[float]:
    """Training passes of the same turn, one over the other."""
    return [a.train / b.train for a, b in zip(above, below, strict=True)]


def _range(ratios: Sequence[float]) -> str:
    return f"({min(ratios):.2f}–{max(ratios):.2f})" if len(ratios) > 1 else ""


def _below(figure: float, target: float, unit: str) -> tuple[str, str]:
    return f"≤ {target:g} {unit}", _verdict(figure <= target)


def _at_most(ratios: Sequence[float], target: float) -> tuple[str, str]:
    held = [ratio <= target for ratio in ratios]
    return f"≤ {target:g} ×", _verdict(statistics.median(ratios) <= target, held)


def _verdict(reached: bool, turns: Sequence[bool] = ()) -> str:
    """By the median; where turns contradict each other, in how many of them it held."""
    word = "reached" if reached else "MISSED"
    return word if len(set(turns)) < 2 else f"{word}; held in {sum(turns)} of {len(turns)} turns"


def _taken(measured: Sequence[Measurement]) -> str:
    """How far the figures can be trusted: what others took of the machine meanwhile."""
    shares = [one.others for one in measured if one.others is not None]
    if not shares:
        return ""
    most = f" (at most {max(shares):.0%})" if len(shares) > 1 else ""
    return f"; others took {statistics.median(shares):.0%} of the processors{most}"


def _tell(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _sizes(text: str) -> list[int]:
    sizes = [int(part) for part in text.split(",")]
    if min(sizes) < 1:
        raise ValueError
    return sizes


def _at_least_one(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number


def main() -> None:
    """Measure, telling the progress on stderr, and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _sizes.__name__, _at_least_one.__name__ = "list of batch sizes", "count"  # named in messages
    parser.add_argument("--batch-sizes", type=_sizes, default=[16, 256], metavar="16,256")
    parser.add_argument("--method", choices=METHODS, default="sgd")
    parser.add_argument("--epochs", type=_at_least_one, default=1, metavar="N")
    parser.add_argument("--repeats", type=_at_least_one, default=3, metavar="R", help="turns")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement there")
    parser.add_argument(
        "--patience",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="how long each turn may wait for a quiet machine, and be repeated",
    )
    add_data_options(parser)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        smallest = max(given.batch_sizes)
        folder = find_data(given.data_dir, given.samples, smallest, Path(scratch))
        whole = given.samples == TRAIN
        data = ("fashion-mnist", "--data-dir", str(folder)) if whole else (str(folder),)
        job = Job(given.method, given.epochs, folder, data)
        try:
            help_seconds = [processes.run(HELP).wall for _ in range(5)]
            measured: list[Measurement] = []
            for turn in range(1, given.repeats + 1):
                for batch_size in given.batch_sizes:
                    measured += measure_turn(job, batch_size, turn, given.patience)
        except processes.ProcessFailedError as error:
            refuse(str(error))
        except KeyboardInterrupt:
            refuse("interrupted: nothing is printed of an unfinished comparison")
    rows = table(measured, given.batch_sizes, help_seconds)
    momentum = f", momentum {MOMENTUM}" if given.method == "sgd" else ""
    print(
        f"MLP 784-512-512-10, Fashion-MNIST ({given.samples:,} examples), cross entropy, "
        f"{given.method} lr {LR}{momentum}; {given.epochs} epoch(s), medians of {given.repeats} "
        f"turns\n{describe_machine()}{_taken(measured)}\n\n{markdown(rows)}"
    )
    if given.json is not None:
        content = {
            "machine": describe_machine(),
            "method": given.method,
            "epochs": given.epochs,
            "samples": given.samples,
            "help_seconds": help_seconds,
            "measurements": [asdict(one) for one in measured],
        }
        try:
            given.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            refuse(f"--json {given.json}: {error.strerror}")


if __name__ == "__main__":
    main()
