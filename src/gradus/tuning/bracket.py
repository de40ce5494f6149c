r"""Which learning rates are tried: successive halving below the edge, then a bracket of the best.

Rates spread below the one from which on the loss is lost are trained for a ninth of the epochs, the
best of them for a third, and the best of those to the end. From there the bracket is moved while
its best stands at its end, and halved (in the logarithm) while it does not. Every decision
follows from what was measured alone: there is no clock and no file.

Source: Jamieson, Talwalkar (2016), "Non-stochastic Best Arm Identification and Hyperparameter
Optimization", for the halving.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gradus.runs.learning_rate.automatic import two_digits

LADDER, APART = 8, 2.5
"""Rates that are trained for a ninth of the epochs: the edge, and each the last by this factor."""

FLOOR, CEILING = 1e-7, 30.0
"""Shares of the edge between which there are two more of them beyond the end, while the best stands
there."""

FEWEST_WHOLE = 2.0
"""Whole trainings that these leave of the budget."""

SHARE_OF_LADDER = 0.2
"""Of the budget that these may take, at most; else they are fewer, and further apart."""

GO_ON = 3
"""Of these, how many are trained for a third of the epochs."""

CLOSEST = 1.12
"""Two rates nearer to each other than by this factor are not told apart."""


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
        >>> trained = []
        >>> course = search(edge=1.0, epochs=90, budget=10)
        >>> batch = next(course)
        >>> while batch:
        ...     trained += batch
        ...     try:
        ...         batch = course.send([math.log(each.lr / 0.03) ** 2 for each in batch])
        ...     except StopIteration:
        ...         break
        >>> [each.lr for each in trained if each.epochs == 30], trained[-1].lr
        ([0.026, 0.064, 0.01], 0.031)
        >>> sum(each.epochs for each in trained) / 90 <= 10
        True
    """
    left = budget
    short, middle = max(1, round(epochs / 9)), max(1, round(epochs / 3))
    batch = _ladder(edge, short / epochs, SHARE_OF_LADDER * budget)
    ladder: dict[float, float] = {}
    while batch and (not ladder or left - len(batch) * short / epochs >= FEWEST_WHOLE):
        found = yield [Candidate(lr, short) for lr in batch]
        left -= len(batch) * short / epochs
        ladder |= dict(zip(batch, found, strict=True))
        batch = _longer(ladder, edge)
    ranked = _ranked(ladder)
    best = [lr for _, lr in ranked]
    (least, lr), options = ranked[0], dict[str, Any]()
    going_on = GO_ON if (GO_ON + 2) * middle / epochs < left else 1 if alternatives else 0
    if middle > short and going_on:
        rates = best[:going_on]
        found = yield [Candidate(lr, middle) for lr in rates]
        left -= len(rates) * middle / epochs
        least, lr = _ranked(dict(zip(rates, found, strict=True)))[0]
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


def _ladder(edge: float, cost: float, budget: float) -> list[float]:
    """Rates spread below the edge, of which all together cost no more than the budget."""
    count = max(4, min(LADDER, int(budget / cost)))
    apart = APART ** ((LADDER - 1) / (count - 1))
    return [two_digits(edge / apart**k) for k in range(count)]


def _longer(ladder: Mapping[float, float], edge: float) -> list[float]:
    """Rates beyond the end of the ladder at which the best stands, if it does."""
    rates = sorted(ladder)
    apart, (worth, best) = rates[1] / rates[0], _ranked(ladder)[0]
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
    apart, worths = math.sqrt(APART), dict(known)
    batch = _next(worths) if worths else [two_digits(each) for each in (lr, lr * apart, lr / apart)]
    while batch and (left >= 1 or not worths):
        batch = batch[: max(1, int(left))]
        found = yield [Candidate(each, epochs, options) for each in batch]
        left -= len(batch)
        worths |= dict(zip(batch, found, strict=True))
        batch = _next(worths)


def _next(worths: Mapping[float, float]) -> list[float]:
    """The rates on both sides of the best: as far beyond the end of the bracket, or half-way.

    Where those are near, the ones around the next best follow.
    """
    rates = sorted(worths)
    for best in sorted(worths, key=lambda lr: (worths[lr], lr)):
        if math.isinf(worths[best]):
            return [two_digits(rates[0] / APART)] if best == rates[0] else []
        at, found = rates.index(best), []
        for step in (1, -1):
            beside, other = at + step, at - step
            if 0 <= beside < len(rates):
                new = math.sqrt(best * rates[beside])
            elif 0 <= other < len(rates):
                new = best * best / rates[other]
            else:
                new = best * APART ** (step / 2)
            new = two_digits(new)
            if min(abs(math.log(new / lr)) for lr in rates) > math.log(CLOSEST) / 2:
                found.append(new)
        if found:
            return found
    return []
