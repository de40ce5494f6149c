"""What was chosen in a sweep, on what, and how far its figures carry: in sentences."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradus.engine.selection import ON_TEST
from gradus.figures.style import figure_of, titled, word
from gradus.metrics.uncertainty import wilson_interval
from gradus.sweep.compare import ranking
from gradus.sweep.groups import Compared, Grouped, varied
from gradus.sweep.measures import complete, measure_of, numbers
from gradus.sweep.paired import seeds_to_tell
from gradus.sweep.result import SCORED


@dataclass(frozen=True)
class Choice:
    """The best configuration of a sweep, and what is known of it.

    Attributes:
        configuration: in words.
        measure: that it was chosen by.
        value: the mean of the measure over seeds.
        half_width: half of its 95 % interval over seeds; None with one seed.
        seeds: how many.
        configurations: how many there are.
        cut: how many of those have no run that was trained to its end.
        compared: of how many all runs finished, so that they are held against each other.
        may_be_best: how many of those cannot be told from it; None with one seed.
        test_loss: the mean over seeds; None where nothing was held for testing.
        test_error: its standard error over test examples.
        test_accuracy: the mean over seeds.
        test_interval: Wilson's interval of the accuracy over test examples.
        test_measured: the figure that it was chosen by, on the test part, where that is neither a
            loss nor an accuracy.
        examples: of the test part.
    """

    configuration: str
    measure: str
    value: float
    half_width: float | None
    seeds: int
    configurations: int
    cut: int
    compared: int
    may_be_best: int | None
    test_loss: float | None
    test_error: float | None
    test_accuracy: float | None
    test_interval: tuple[float, float] | None
    test_measured: float | None
    examples: int | None

    @property
    def taken(self) -> str:
        """Which configuration it is, and by what, in one line."""
        return _chosen(self).partition("; test loss")[0]

    @property
    def on_test(self) -> bool:
        """Whether the choice was made on the test part."""
        return "test" in self.measure


def choice(sweep: Compared, measure: str | None = None) -> Choice | None:
    """The best configuration of a sweep; None where there is none all of whose runs finished.

    Raises:
        InputError: no run has the measure.
    """
    runs = sweep.runs
    measure = measure_of(runs) if measure is None else measure
    options = tuple(varied(runs))
    ranked = ranking(sweep, measure)
    (best,) = ranked.slice(0, 1).to_pylist()
    if best["finished"] < best["runs"]:
        return None
    own = np.ones(runs.num_rows, bool)
    if options:
        grouped = Grouped(runs, options)
        firsts = runs.take(grouped.first).select(list(options)).to_pylist()
        own = grouped.codes == firsts.index({name: best[name] for name in options})
    own &= complete(runs, measure)

    def mean(name: str) -> float | None:
        values = numbers(runs, name)[own]
        known = values[np.isfinite(values)]
        return float(known.mean()) if len(known) else None

    examples, accuracy = mean("test_examples"), mean("test_accuracy")
    interval = None
    if examples and accuracy is not None:
        n = round(examples)
        interval = wilson_interval(round(accuracy * n), n)
    on_test = f"test_{measure.removeprefix('best_').partition('_')[2]}"
    low, high = best[f"{measure}_low"], best[f"{measure}_high"]
    may_be_best = ranked["may_be_best"].to_pylist().count(True)
    told = best["may_be_best"] is not None
    return Choice(
        configuration=titled(best, options),
        measure=measure,
        value=best[measure],
        half_width=None if low is None else (high - low) / 2,
        seeds=int(own.sum()),
        configurations=ranked.num_rows,
        cut=ranked["rank"].null_count,
        compared=int((numbers(ranked, "finished") == numbers(ranked, "runs")).sum()),
        may_be_best=max(0, may_be_best - 1) if told else None,
        test_loss=mean("test_loss"),
        test_error=mean("test_standard_error"),
        test_accuracy=accuracy,
        test_interval=interval,
        test_measured=mean(on_test) if on_test in SCORED else None,
        examples=None if examples is None else round(examples),
    )


def notes(sweep: Compared, measure: str | None = None) -> list[str]:
    """What is to be said beside a ranking: what was chosen on what, and what cannot be told.

    Example:
        >>> import pyarrow as pa
        >>> from types import SimpleNamespace
        >>> runs = pa.table({
        ...     "run": ["a", "b"], "status": ["finished"] * 2, "lr": [0.1, 1.0], "seed": [0, 0],
        ...     "test_loss": [0.6, 0.4],
        ... })
        >>> for note in notes(SimpleNamespace(name="rates", runs=runs)):
        ...     print(note)
        chosen: lr 1, by test loss 0.4000, of 2 configurations
        chosen on the test part, as asked for: expect worse figures on other examples
        with one seed, configurations cannot be told apart; from --seeds 3 on, a difference of twice its standard deviation over seeds can be told
    """  # noqa: E501
    found = choice(sweep, measure)
    if found is None:
        return ["of no configuration did all runs finish: none is chosen"]
    said = [_chosen(found)]
    if found.on_test:
        said.append(ON_TEST)
    if found.compared < 2:
        return said
    enough = seeds_to_tell(found.compared)
    later = (
        f"from --seeds {enough} on, a difference of twice its standard deviation over seeds can be "
        "told"
    )
    whole = " whose runs all finished" if found.compared < found.configurations else ""
    if found.may_be_best is None:
        said.append(f"with one seed, configurations cannot be told apart; {later}")
    elif found.may_be_best:
        others = found.compared - 1
        of = f"{found.may_be_best:,} of the other {others:,}" if others > 1 else "the other"
        said.append(f"{of}{whole} cannot be told from it (differences within seeds, 95 %, Holm)")
        if found.seeds < enough:
            said[-1] += f"; {found.seeds} seeds are few: {later}"
    else:
        said.append(f"no other{whole} may be the best (differences within seeds, 95 %, Holm)")
    return said


def _chosen(found: Choice) -> str:
    over = f" over {found.seeds} seeds" if found.seeds > 1 else ""
    told = [
        f"chosen: {found.configuration}, by {word(found.measure)} "
        f"{figure_of(found.measure, found.value, found.half_width)}{over}, "
        f"of {found.configurations:,} configuration{'' if found.configurations == 1 else 's'}"
    ]
    if found.cut:
        told[0] += f", {found.cut:,} of them not trained to the end"
    if found.on_test or found.test_loss is None:
        return told[0]
    told.append(f"test loss {figure_of('test_loss', found.test_loss, found.test_error)}")
    if found.test_error is not None:
        told[-1] += " (standard error)"
    if found.test_accuracy is not None:
        told.append(f"test accuracy {figure_of('test_accuracy', found.test_accuracy)}")
        if found.test_interval is not None:
            low, high = found.test_interval
            told[-1] += f" ({100 * low:.2f} to {100 * high:.2f})"
    if found.test_measured is not None:
        name = f"test_{found.measure.removeprefix('best_').partition('_')[2]}"
        told.append(f"{word(name)} {figure_of(name, found.test_measured)}")
    if found.examples is not None and math.isfinite(found.examples):
        told[-1] += f" on {found.examples:,} examples"
    return "; ".join(told)


def interval_note(rows: list[dict[str, Any]], measure: str) -> str:
    """What ± means in a ranking."""
    unit = word(measure.removeprefix("best_")).partition(" ")[2]
    if any(row["runs"] > 1 for row in rows):
        return (
            f"± is half the 95 % confidence interval of the mean {unit} over seeds; to the best, "
            "wider by what it takes that the best was chosen"
        )
    return f"each {unit} is of one seed"
