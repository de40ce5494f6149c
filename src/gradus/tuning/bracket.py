r"""Which learning rates are tried: successive halving below the edge, then a bracket of the best.

Rates spread below the one from which on the loss is lost are trained for a ninth of the epochs, and
the best of them to the end, with one on each side. From there the
gaps between good rates are halved (in the logarithm), and the bracket goes on beyond its end where
that is good. Every decision follows from what was measured alone: there is no clock and no file.

Source: Jamieson, Talwalkar (2016), "Non-stochastic Best Arm Identification and Hyperparameter
Optimization", for the halving.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from gradus.runs.learning_rate.automatic import two_digits

LADDER, APART = 8, 2.5
"""Rates that are trained for a ninth of the epochs: the edge, and each the last by this factor."""

FLOOR, CEILING = 1e-7, 30.0
"""Shares of the edge between which there are two more of them beyond the end, while the best stands
there."""

FEWEST_WHOLE = 2.0
"""Whole trainings that these leave of the budget."""

SHARE_OF_LADDER, FEWEST = 0.2, 4
"""Of the budget that these may take; else they are fewer, and further apart, down to so many."""

SHARES = (1 / 10, 1 / 3, 1 / 30)
"""Of the edge, where the budget does not even reach for those."""

WIDE = math.sqrt(APART)
"""The factor between the first rates that are trained to the end, and to those beyond them."""

CLOSEST = 1.14
"""Two rates nearer to each other than by this factor are not told apart."""

NEAR = 4
"""Around so many of the best, gaps are looked into."""

SIDE_BY_SIDE = 2
"""Rates that are trained before what came of them is looked at."""


@dataclass(frozen=True)
class Candidate:
    """What is to be trained.

    Attributes:
        lr: its learning rate.
        epochs: for how long.
        options: other options that are free, where they are not those given.
    """

    lr: float
    epochs: int
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Alternative:
    """Options to take instead, and what a learning rate is multiplied with to start from there."""

    options: Mapping[str, Any]
    factor: float


Search = Generator[list[Candidate], Sequence[float], None]
"""Gives what is to be trained side by side; is sent the worth of each, less being better, infinite
where it diverged."""


def search(
    edge: float,
    epochs: int,
    budget: float,
    alternatives: Sequence[Sequence[Alternative]] = (),
) -> Search:
    """The search for a learning rate, and for what else is free.

    Args:
        edge: the learning rate from which on the loss is lost.
        epochs: of the run.
        budget: trainings of that length that it may take; one is taken whatever is left.
        alternatives: of each other option that is free.

    Example:
        >>> import math
        >>> course, whole = search(edge=1.0, epochs=90, budget=10), []
        >>> batch = next(course)
        >>> while batch:
        ...     whole += [each.lr for each in batch if each.epochs == 90]
        ...     try:
        ...         batch = course.send([math.log(each.lr / 0.03) ** 2 for each in batch])
        ...     except StopIteration:
        ...         break
        >>> whole
        [0.026, 0.041, 0.016, 0.033, 0.065, 0.02, 0.052, 0.023]
    """
    left = budget
    short, middle = max(1, round(epochs / 9)), max(1, round(epochs / 3))
    batch = _ladder(edge, short / epochs, budget, is_whole=short == epochs)
    ladder: dict[float, float] = {}
    while batch and (not ladder or left - len(batch) * short / epochs >= FEWEST_WHOLE):
        found = yield [Candidate(lr, short) for lr in batch]
        left -= len(batch) * short / epochs
        ladder |= dict(zip(batch, found, strict=True))
        batch = _longer(ladder, edge)
    ranked = _ranked(ladder) or [(math.inf, two_digits(SHARES[0] * edge))]
    (least, lr), options = ranked[0], dict[str, Any]()
    if alternatives and middle > short:
        (least,) = yield [Candidate(lr, middle)]
        left -= middle / epochs
    for choices in alternatives:
        tried = [
            Candidate(two_digits(lr * each.factor), middle, {**options, **each.options})
            for each in choices
        ]
        if len(tried) * middle / epochs > left - 1:
            break
        found = yield tried
        left -= len(tried) * middle / epochs
        for candidate, worth in zip(tried, found, strict=True):
            if worth < least:
                least, lr, options = worth, candidate.lr, dict(candidate.options)
    known = ladder if short == epochs and not options else {}
    yield from _bracket(lr, epochs, left, options, known)


def _ladder(edge: float, cost: float, left: float, *, is_whole: bool) -> list[float]:
    """Rates spread below the edge, which leave of the budget a whole training, if they are none."""
    fit = int((left if is_whole else left - 1) / cost)
    if fit < FEWEST:
        return [two_digits(share * edge) for share in SHARES[:fit]]
    count = max(FEWEST, min(LADDER, int(SHARE_OF_LADDER * left / cost)))
    apart = APART ** ((LADDER - 1) / (count - 1))
    return [two_digits(edge / apart**k) for k in range(count)]


def _longer(ladder: Mapping[float, float], edge: float) -> list[float]:
    """Rates beyond the end of the ladder at which the best stands, if it does."""
    rates = sorted(ladder)
    apart = rates[1] / rates[0] if len(rates) > 1 else APART
    worth, best = _ranked(ladder)[0]
    if best == rates[0] or math.isinf(worth):
        return [two_digits(rates[0] / apart**k) for k in (1, 2)] if best > FLOOR * edge else []
    if best == rates[-1] and best < CEILING * edge:
        return [two_digits(best * apart**k) for k in (1, 2)]
    return []


def _ranked(worths: Mapping[float, float]) -> list[tuple[float, float]]:
    """The worths with their rates, the best first; of equals the smaller rate comes first."""
    return sorted((worth, lr) for lr, worth in worths.items())


def _bracket(
    lr: float, epochs: int, left: float, options: Mapping[str, Any], known: Mapping[float, float]
) -> Search:
    """Trainings of full length around a learning rate, while the budget lasts.

    Args:
        lr: it.
        epochs: of a training.
        left: of the budget.
        options: other options of them.
        known: the worth of rates that were trained so already.
    """
    worths = dict(known)
    batch = _next(worths) if worths else [two_digits(each) for each in (lr, lr * WIDE, lr / WIDE)]
    while batch and (left >= 1 or not worths):
        batch = batch[: max(1, int(left))]
        found = yield [Candidate(each, epochs, options) for each in batch]
        left -= len(batch)
        worths |= dict(zip(batch, found, strict=True))
        batch = _next(worths)


def _next(worths: Mapping[float, float]) -> list[float]:
    """The rates in the most promising gaps: half-way between two that were trained, or beyond them.

    A gap is worth the mean of its two ends. One training is noisy, and the best of several is the
    luckiest of them: a rate between two good ones promises more than one beside the best whose
    other neighbour is bad. Beyond the last rate a gap is taken to end no better than it begins.

    Example:
        >>> _next({0.1: 1.0, 0.16: 0.9, 0.25: 1.3})
        [0.13, 0.063]
    """
    rates, ranked = sorted(worths), _ranked(worths)
    (least, best), worst = ranked[0], max(filter(math.isfinite, worths.values()), default=math.inf)
    if math.isinf(least):
        return [two_digits(rates[0] / APART)] if best == rates[0] else []
    lost = worst + (worst - least)
    counted = {lr: min(worth, lost) for lr, worth in worths.items()}
    near = {lr for _, lr in ranked[:NEAR]}
    gaps = [
        ((counted[low] + counted[high]) / 2, math.sqrt(low * high))
        for low, high in pairwise(rates)
        if {low, high} & near and high >= low * CLOSEST**2
    ]
    for end, beside, new in (
        (rates[0], rates[:2][-1], rates[0] / WIDE),
        (rates[-1], rates[-2:][0], rates[-1] * WIDE),
    ):
        if end in near:
            beyond = max(counted[end], counted[beside])
            gaps.append(((counted[end] + beyond) / 2, new))
    promising = dict.fromkeys(two_digits(lr) for _, lr in sorted(gaps))
    return [lr for lr in promising if lr not in worths][:SIDE_BY_SIDE]
