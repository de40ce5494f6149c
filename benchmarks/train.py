"""How long an epoch of the reference job takes, beside PyTorch's and JAX's best.

Every contender runs in a process of its own, with the machine's own number of threads; they take
turns, so that what else the machine does falls on all of them, and are compared within a turn. All
of a row do the same job, on the first so many examples: small batches, whose epoch takes minutes,
on fewer. The first epoch warms up and is not counted; compiling is reported apart. Times are those
of an epoch of 60,000. With ``--whole`` what is compared is the whole process, from the command to
its end, over ten epochs of all the data with their test passes.

With ``--patience`` contenders wait for a machine that nobody else uses, and a turn in which others
took more than 10 % of it is measured again, all of it. A turn that stayed disturbed is not counted,
unless all of its row did.

"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmarks import processes
from benchmarks.contenders import CONTENDERS, OURS, AbsentError, Job, Measurement, Paddock
from benchmarks.markdown import describe_machine, markdown
from benchmarks.reference import (
    LR,
    METHODS,
    MOMENTUM,
    TRAIN,
    add_data_dir,
    flops_per_sample,
    positive,
    positives,
    refuse,
)

BATCH_SIZES = [1, 4, 16, 64, 256, 1024, 4096]
SAMPLES = {1: 4096, 4: 8192, 16: 16384}
MOST_SAMPLES = 32768
"""Training examples of a run, by batch size: those that the slowest trains on in some seconds."""
SMOKE = 2048

TIMES_FASTER = {"memory": {16: 3.5}, "jax": {16: 2.0, 64: 1.3}}
"""How many times as fast as a peer native is to be, by batch size; never slower than any."""
WHOLE_TIMES_FASTER = {"plain": {16: 10.0}, "memory": TIMES_FASTER["memory"]}
"""Of whole processes; those that compile try several forms first, and are not judged by them."""
EAGER_WITHIN = 1.1
"""How many times as long as ``memory`` eager may take."""
SGEMM_SHARE = {64: 0.75}
AGREE_WITHIN = {"sgd": 1e-5, "adam": 3e-2}
"""How far test losses may part, relatively, from the first of CONFORMING: less than any training
moves them, which of sgd at batch 4096 is 2e-3. The first steps of adam divide by gradients near 0:
there rounding grows."""
AGREE_WITHIN_OVER_MANY_STEPS = {"sgd": 1e-3, "adam": 0.3}
MANY_STEPS = {"sgd": 4000, "adam": 2000}
"""From so many steps on rounding has grown: then the peers part as far from each other."""
CONFORMING = ("plain", "memory", *CONTENDERS)

PEAK_MB = 700.0
FIRST_STEP_SECONDS = 4.0
HELP_SECONDS = 0.3
HELP = ("-c", "from gradus.cli import main; main(['--help'])")

DISTURBED = 0.1
"""The share of all processors that others may take of an undisturbed measurement."""


class Row(NamedTuple):
    """What is compared with each other."""

    method: str
    batch_size: int


@dataclass
class Comparison:
    """All that was measured.

    Attributes:
        sgemm: floating-point operations a second of large products, by row and turn.
        absent: why a contender of a row has no measurement.
    """

    contenders: Sequence[str]
    rows: Sequence[Row]
    measured: list[Measurement] = field(default_factory=list)
    sgemm: dict[tuple[Row, int], float] = field(default_factory=dict)
    absent: dict[tuple[Row, str], str] = field(default_factory=dict)

    def counted(self, row: Row) -> tuple[dict[str, list[Measurement]], str]:
        """By contender, the turns that nobody disturbed, or all if none was; how many they are."""
        of_row = [m for m in self.measured if (m.method, m.batch_size) == row]
        turns = {m.turn for m in of_row}
        disturbed = {m.turn for m in of_row if (m.others or 0.0) > DISTURBED}
        kept = turns - disturbed or turns
        note = (
            f"{len(turns)}, all disturbed" if disturbed == turns else f"{len(kept)} of {len(turns)}"
        )
        by = {
            contender: [m for m in of_row if m.contender == contender and m.turn in kept]
            for contender in self.contenders
        }
        return {contender: found for contender, found in by.items() if found}, note

    @property
    def base(self) -> str:
        """Who the others are compared with: the first who was measured in every row."""
        for contender in self.contenders:
            if not any((row, contender) in self.absent for row in self.rows):
                return contender
        return self.contenders[0]


def compare(
    paddock: Paddock,
    comparison: Comparison,
    job_of: Callable[[Row], Job],
    turns: int,
    patience: float,
) -> None:
    """Measure all rows, turn by turn."""
    for turn, row in itertools.product(range(1, turns + 1), comparison.rows):
        _measure_turn(paddock, comparison, row, job_of(row), turn, patience)


def _measure_turn(
    paddock: Paddock, comparison: Comparison, row: Row, job: Job, turn: int, patience: float
) -> None:
    """Run every contender once, and all of them again while others disturbed any.

    A turn is kept or repeated as a whole, so that what is compared was measured side by side.
    """
    until = time.monotonic() + patience
    while True:
        measured: list[Measurement] = []
        rate = _sgemm(paddock.scratch) if "native" in comparison.contenders else None
        for contender in comparison.contenders:
            if (row, contender) in comparison.absent:
                continue
            while time.monotonic() < until and processes.share_taken_by_others() > DISTURBED:
                pass
            where = f"turn {turn}  {row.method:<4}  batch {row.batch_size:<4}  {contender:<8}"
            try:
                one = paddock.measure(job, contender, turn)
            except AbsentError as error:
                comparison.absent[row, contender] = str(error)
                _tell(f"{where}  ABSENT: {error}")
                continue
            measured.append(one)
            _tell(
                f"{where}  {_epoch(one):.2f} s per epoch, {one.whole:.1f} s in all{_taken([one])}"
            )
            if time.monotonic() < until and (one.others or 0.0) > DISTURBED:
                _tell("disturbed: this turn is measured again")
                break
        else:
            comparison.measured += measured
            if rate is not None:
                comparison.sgemm[row, turn] = rate
            return


def _sgemm(scratch: Path) -> float:
    result = scratch / "limits.json"
    processes.run(["-m", "benchmarks.limits", str(result)])
    return float(json.loads(result.read_text(encoding="utf-8"))["sgemm"])


def table(comparison: Comparison) -> list[list[str]]:
    """A row for every method and batch size: medians over the turns, ratios turn by turn."""
    base = comparison.base
    head = ["method", "batch", "samples", "turns", *comparison.contenders]
    head += ["compiling, s", "native, GFLOP/s", "test loss", "to reach"]
    rows = [head]
    for row in comparison.rows:
        by, note = comparison.counted(row)
        samples = next((f"{found[0].samples:,}" for found in by.values()), "")
        cells = [row.method, str(row.batch_size), samples, note]
        for contender in comparison.contenders:
            if contender not in by:
                cells.append("absent")
                continue
            seconds = statistics.median(map(_epoch, by[contender]))
            cell = f"{seconds:.2f}"
            if contender != base and base in by:
                cell += f", {_told(_ratios(by[contender], by[base], _epoch))}"
            cells.append(cell)
        rows.append([*cells, _compiling(by), *_rates(comparison, row, by)])
        rows[-1].append(_losses(row, by))
        rows[-1].append(_judged(comparison, row, by))
    return rows


def whole_table(comparison: Comparison, help_seconds: Sequence[float]) -> list[list[str]]:
    """Of every method and batch size, what whole processes cost."""
    base, contenders = comparison.base, comparison.contenders
    rows = [["method", "batch", "measured", *contenders, "target", ""]]
    blank = [""] * (len(contenders) - 1)
    for row in comparison.rows:
        by, note = comparison.counted(row)
        lines = [["turns counted", note, *blank, "", ""]]
        lines.append([*_medians("whole process, s", by, contenders, _whole, 2), "", ""])
        for peer in by:
            if peer != base and base in by:
                ratios = _ratios(by[peer], by[base], _whole)
                wanted = WHOLE_TIMES_FASTER.get(peer, {}).get(row.batch_size)
                target = ("", "")
                if wanted is not None and base == "native":
                    target = f"≥ {wanted:g}×", _verdict([ratio - wanted for ratio in ratios])
                lines.append([f"{peer} / {base}", _told(ratios), *blank, *target])
        passes, tested = "training and test pass, s per epoch", "test loss after the last epoch"
        lines += [
            [*_medians("training pass, s per epoch", by, contenders, lambda m: m.train, 2), "", ""],
            [*_medians(passes, by, contenders, lambda m: m.train + m.test, 2), "", ""],
            [
                *_medians("peak memory, MB", by, contenders, lambda m: m.peak, 0),
                *_below([m.peak for m in by.get(base, [])], PEAK_MB, "MB", base in OURS),
            ],
            [
                *_medians(
                    "command to first step, s", by, contenders, lambda m: m.first_step, 2
                ),
                *_below(
                    [m.first_step or 0.0 for m in by.get(base, [])],
                    FIRST_STEP_SECONDS, "s", base in OURS,
                ),
            ],
            [*_medians("compiling, s", by, contenders, lambda m: m.compile, 1), "", ""],
            [
                *_medians(tested, by, contenders, lambda m: m.test_loss, 5),
                f"within {_within(row, by):g}",
                _losses(row, by),
            ],
        ]  # fmt: skip
        rows += [[row.method, str(row.batch_size), *line] for line in lines]
    seconds = statistics.median(help_seconds)
    verdict = _below(help_seconds, HELP_SECONDS, "s", True)
    rows.append(["", "", "`gradus --help`, s", f"{seconds:.2f}", *blank, *verdict])
    return rows


def _medians(
    name: str,
    by: Mapping[str, Sequence[Measurement]],
    contenders: Sequence[str],
    of: Callable[[Measurement], float | None],
    digits: int,
) -> list[str]:
    cells = [name]
    for contender in contenders:
        figures = [figure for m in by.get(contender, []) if (figure := of(m)) is not None]
        cells.append(f"{statistics.median(figures):.{digits}f}" if figures else "")
        if contender not in by:
            cells[-1] = "absent"
    return cells


def _below(figures: Sequence[float], target: float, unit: str, judged: bool) -> list[str]:
    if not figures or not judged:
        return ["", ""]
    return [f"≤ {target:g} {unit}", _verdict([target - statistics.median(figures)])]


def _epoch(one: Measurement) -> float:
    """Seconds that an epoch of all the data takes at this pace."""
    return one.train * TRAIN / one.samples


def _whole(one: Measurement) -> float:
    return one.whole


def _ratios(
    above: Sequence[Measurement], below: Sequence[Measurement], of: Callable[[Measurement], float]
) -> list[float]:
    """One over the other in every turn that both were measured in."""
    others = {m.turn: of(m) for m in below}
    return [of(m) / others[m.turn] for m in above if m.turn in others]


def _told(ratios: Sequence[float]) -> str:
    """The median, and the range over the turns."""
    spread = f" ({min(ratios):.2f}–{max(ratios):.2f})" if len(ratios) > 1 else ""
    return f"{statistics.median(ratios):.2f}×{spread}"


def _compiling(by: Mapping[str, Sequence[Measurement]]) -> str:
    """The longest of the turns: what is compiled once is kept for the others."""
    longest = {
        contender: max(m.compile for m in found if m.compile is not None)
        for contender, found in by.items()
        if found[0].compile is not None
    }
    return ", ".join(f"{contender} {seconds:.1f}" for contender, seconds in longest.items())


def _rates(comparison: Comparison, row: Row, by: Mapping[str, Sequence[Measurement]]) -> list[str]:
    """The rate of native in its matrix products, and its share of sgemm's."""
    shares = _shares(comparison, row, by)
    if not shares:
        return [""]
    rate = statistics.median(map(_flops, by["native"])) / 1e9
    return [f"{rate:.0f}, {statistics.median(shares):.0%} of sgemm"]


def _shares(
    comparison: Comparison, row: Row, by: Mapping[str, Sequence[Measurement]]
) -> list[float]:
    return [_flops(m) / comparison.sgemm[row, m.turn] for m in by.get("native", [])]


def _flops(one: Measurement) -> float:
    return flops_per_sample() * one.samples / one.train


def _within(row: Row, by: Mapping[str, Sequence[Measurement]]) -> float:
    steps = max(
        (m.samples * len(m.epochs) / m.batch_size for found in by.values() for m in found),
        default=0,
    )
    many = steps >= MANY_STEPS[row.method]
    return (AGREE_WITHIN_OVER_MANY_STEPS if many else AGREE_WITHIN)[row.method]


def _losses(row: Row, by: Mapping[str, Sequence[Measurement]]) -> str:
    """The test loss of the first that the others are to agree with, and how far they part."""
    losses = {contender: [m.test_loss for m in found] for contender, found in by.items()}
    first = next((contender for contender in CONFORMING if contender in losses), None)
    if first is None:
        return ""
    true = losses[first][0]
    apart = {
        contender: max(abs(loss - true) / true for loss in found)
        for contender, found in losses.items()
    }
    told = f"{true:.5f}, apart {max(apart.values()):.1g}"
    parted = [
        f"{contender} {losses[contender][0]:.5f}"
        for contender, gap in apart.items()
        if not gap <= _within(row, by)
    ]
    return f"{told}; DIFFERENT: {', '.join(parted)}" if parted else told


def _judged(comparison: Comparison, row: Row, by: Mapping[str, Sequence[Measurement]]) -> str:
    """What is missed, by the median, of all that is to be reached."""
    judged: list[tuple[str, str]] = []
    for what, margins in _margins(comparison, row, by):
        judged.append((what, _verdict(margins)))
    missed = [f"{what} {verdict}" for what, verdict in judged if verdict != "reached"]
    if "DIFFERENT" in _losses(row, by):
        missed.append("the same job MISSED")
    return "; ".join(missed) if missed else "reached" if judged else ""


def _margins(
    comparison: Comparison, row: Row, by: Mapping[str, Sequence[Measurement]]
) -> Iterator[tuple[str, list[float]]]:
    """What is to be reached, and by how much it was in every turn."""
    if "native" in by:
        for peer in by:
            if peer not in OURS:
                wanted = TIMES_FASTER.get(peer, {}).get(row.batch_size, 1.0)
                ratios = _ratios(by[peer], by["native"], _epoch)
                yield f"{peer} ≥ {wanted:g}×", [ratio - wanted for ratio in ratios]
    if (share := SGEMM_SHARE.get(row.batch_size)) is not None and "native" in by:
        shares = _shares(comparison, row, by)
        yield f"sgemm ≥ {share:.0%}", [found - share for found in shares]
    if "eager" in by and "memory" in by:
        ratios = _ratios(by["eager"], by["memory"], _epoch)
        yield f"eager ≤ {EAGER_WITHIN:g} memory", [EAGER_WITHIN - ratio for ratio in ratios]


def _verdict(margins: Sequence[float]) -> str:
    """By the median; where turns contradict each other, in how many of them it held."""
    held = [margin >= 0 for margin in margins]
    word = "reached" if statistics.median(margins) >= 0 else "MISSED"
    return word if len(set(held)) == 1 else f"{word}, held in {sum(held)} of {len(held)} turns"


def _absences(comparison: Comparison) -> list[str]:
    """Who is absent, and why, a line for each reason."""
    where: dict[tuple[str, str], list[Row]] = {}
    for (row, contender), reason in comparison.absent.items():
        where.setdefault((contender, reason), []).append(row)
    lines = []
    for (contender, reason), rows in where.items():
        everywhere = len(rows) == len(comparison.rows)
        told = ", ".join(f"{row.method} batch {row.batch_size}" for row in rows)
        lines.append(f"{contender} is absent{'' if everywhere else f' ({told})'}: {reason}")
    return lines


def _forms(comparison: Comparison) -> list[str]:
    """Which form was the fastest, of contenders that have several."""
    lines = []
    for contender in comparison.contenders:
        forms: dict[str, list[str]] = {}
        for m in comparison.measured:
            if m.contender == contender and m.form is not None:
                rows = forms.setdefault(m.form, [])
                if (told := f"{m.method} {m.batch_size}") not in rows:
                    rows.append(told)
        if forms:
            told = "; ".join(f"{form}: {', '.join(rows)}" for form, rows in forms.items())
            lines.append(f"Fastest form of {contender}: {told}.")
    return lines


def _taken(measured: Sequence[Measurement]) -> str:
    """How far the figures can be trusted: what others took of the machine meanwhile."""
    shares = [one.others for one in measured if one.others is not None]
    if not shares:
        return ""
    most = f" (at most {max(shares):.0%})" if len(shares) > 1 else ""
    return f"; others took {statistics.median(shares):.0%} of the processors{most}"


def _tell(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    known = "\n".join(f"    {name:<9} {told}" for name, told in CONTENDERS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.train",
        description=(__doc__ or "") + known,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--batch-sizes", type=positives, metavar="1,4,..", help="default: all, or 16"
    )
    parser.add_argument("--methods", default=",".join(METHODS), metavar="sgd,adam")
    parser.add_argument(
        "--contenders", metavar="A,B,..", help="default: all; with --whole native,plain"
    )
    parser.add_argument("--whole", action="store_true", help="compare whole processes")
    parser.add_argument(
        "--epochs",
        type=positive,
        metavar="N",
        help="counted after the one that warms up (1); with --whole all epochs (10)",
    )
    parser.add_argument(
        "--samples-per-run",
        type=positive,
        metavar="N",
        help=f"first N training examples; default by batch size, {MOST_SAMPLES} at most",
    )
    parser.add_argument("--repeats", type=positive, default=3, metavar="R", help="turns")
    parser.add_argument(
        "--smoke",
        action="store_true",
        help=f"one turn of {SMOKE} examples and batch 16, to see that it works",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement there")
    parser.add_argument(
        "--patience",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="how long each turn may wait for a quiet machine, and be repeated",
    )
    add_data_dir(parser)
    return parser


def _chosen(option: str, given: str, known: Sequence[str]) -> list[str]:
    names = given.split(",")
    for name in names:
        if name not in known:
            refuse(f"{option} {name}: choose of {', '.join(known)}")
    return [name for name in known if name in names]


def main() -> None:
    """Measure, telling the progress on stderr, and print the table."""
    given = _parser().parse_args()
    usual = "native,plain" if given.whole else ",".join(CONTENDERS)
    contenders = _chosen("--contenders", given.contenders or usual, list(CONTENDERS))
    methods = _chosen("--methods", given.methods, METHODS)
    few = given.whole or given.smoke
    batch_sizes = given.batch_sizes or ([16] if few else BATCH_SIZES)
    turns = 1 if given.smoke else given.repeats
    samples = given.samples_per_run or (SMOKE if given.smoke else TRAIN if given.whole else None)
    if samples is not None and not max(batch_sizes) <= samples <= TRAIN:
        refuse(
            f"--samples-per-run {samples}: give a number from {max(batch_sizes)} (a batch) "
            f"to {TRAIN}"
        )
    epochs = given.epochs or (2 if given.smoke else 10) if given.whole else 1 + (given.epochs or 1)
    comparison = Comparison(
        contenders, list(itertools.starmap(Row, itertools.product(methods, batch_sizes)))
    )

    with tempfile.TemporaryDirectory() as scratch:
        paddock = Paddock(Path(scratch), given.data_dir)

        def job_of(row: Row) -> Job:
            of_run = samples or max(row.batch_size, SAMPLES.get(row.batch_size, MOST_SAMPLES))
            return paddock.job(row.method, row.batch_size, of_run, epochs)

        try:
            paddock.prepare(contenders)
            help_seconds = [processes.run(HELP).wall for _ in range(5)] if given.whole else []
            compare(paddock, comparison, job_of, turns, given.patience)
        except processes.ProcessFailedError as error:
            refuse(str(error))
        except KeyboardInterrupt:
            refuse("interrupted: nothing is printed of an unfinished comparison")
    if not comparison.measured:
        refuse("; ".join(_absences(comparison)))
    _print(comparison, epochs, turns, help_seconds)
    if given.json is not None:
        _write(given.json, comparison, epochs, help_seconds)


def _print(comparison: Comparison, epochs: int, turns: int, help_seconds: Sequence[float]) -> None:
    whole = bool(help_seconds)
    base = comparison.base
    print(
        f"MLP 784-512-512-10, Fashion-MNIST, cross entropy; sgd lr {LR}, momentum {MOMENTUM}; "
        f"adam lr {LR}. Medians of {turns} turns.\n"
        f"{describe_machine()}{_taken(comparison.measured)}\n"
    )
    if whole:
        print(f"Whole processes over {epochs} epochs, test passes included.\n")
        print(markdown(whole_table(comparison, help_seconds)))
    else:
        print(
            f"Seconds that an epoch of {TRAIN:,} takes; ×: times as long as {base}. A run trains "
            f"{epochs} epochs on the first so many samples; the first epoch is not counted.\n"
        )
        print(markdown(table(comparison)))
    notes = [*_absences(comparison), *_forms(comparison)]
    if notes:
        print("\n" + "\n".join(f"- {note}" for note in notes))


def _write(path: Path, comparison: Comparison, epochs: int, help_seconds: Sequence[float]) -> None:
    content = {
        "machine": describe_machine(),
        "epochs": epochs,
        "help_seconds": help_seconds,
        "sgemm": [
            {**row._asdict(), "turn": turn, "flops": rate}
            for (row, turn), rate in comparison.sgemm.items()
        ],
        "absent": _absences(comparison),
        "measurements": [asdict(one) for one in comparison.measured],
    }
    try:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        refuse(f"--json {path}: {error.strerror}")


if __name__ == "__main__":
    main()
