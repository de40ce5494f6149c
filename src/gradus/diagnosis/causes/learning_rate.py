r"""The learning rate is too high, or too low.

Near a point where the risk is a quadratic a step of gradient descent shrinks the error along the
steepest direction only while $\alpha \lambda_{\max} < 2$; other methods have other limits
(:func:`~gradus.methods.stability.stability_limit`). Runs that pass the limit on their way and come
back (catapults), or hover at it (the edge of stability), are healthy: a smaller learning rate does
not lower the loss that they end with.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from gradus.diagnosis.cause import LEAST_GAIN, Cause, Suspicion
from gradus.diagnosis.clock import now
from gradus.diagnosis.evidence import Evidence
from gradus.diagnosis.falling import still_falls
from gradus.diagnosis.findings import Experiment, Figure
from gradus.diagnosis.fork import Change, with_options
from gradus.engine.job import Job
from gradus.methods.schedules import Schedule

DOWN = (4, 16, 64, 256, 1024, 4096)
"""By which factors the learning rate is lowered."""

UP = tuple(4**power for power in range(1, 11))
"""By which it is raised, where nothing says how far."""

FEW, FAR = UP[:5], UP[6]
"""Where the curvature says how far, it is gone there in steps, or at once if it is farther."""

OF_LIMIT = 0.3
"""The share of what the curvature allows at the beginning, up to which it is raised."""

WORTH = UP[0] / 2
"""A smaller factor is not worth the raise."""

ENOUGH = 0.12
"""What a higher rate has to take off the loss: a little less is gained by most runs that are
trained for a little longer, and no run is trained for ever."""

LITTLE_LEARNED = 0.3
"""In losses of the best constant prediction: a run that ends above may have gone too slowly."""

SOME_LEFT = 0.1
"""In the same: a run that ends above and still falls may have gone too slowly likewise."""

HALF = 0.5
"""Of the loss that is left, what a higher rate has to take off where that is less than ``ENOUGH``
can be asked of: so much is not gained by a run that is a little longer."""

UNSETTLED = 0.08
"""A run that ends above may have gone too fast to settle, though its loss never rose. Where nothing
is wrong a quarter of the rate only goes slower, and ends higher."""

LOOKS, SECONDS = 5, 1.0
"""Points at which the curvature is measured, at most, and how long that may take."""

STRIDE = 0.3
"""What a step of an adaptive method usually is of the deviation of the parameters, at most."""

RISEN = 1.5
"""A loss that ends so many times above its least has risen."""


class Scaled(Schedule):
    """A schedule times a factor."""

    def __init__(self, schedule: Schedule, factor: float) -> None:
        self.schedule, self.factor = schedule, factor

    def __call__(self, step: int) -> float:
        """The learning rate of this step."""
        return self.factor * self.schedule(step)


def _changes(evidence: Evidence, factors: Sequence[float]) -> list[Change]:
    """The learning rate times each of these factors, rounded to two digits where it is a number."""
    spec = evidence.case.spec
    lr = spec.lr if evidence.case.objects.method is None else None
    if lr is not None:
        values = [float(f"{lr * factor:.1g}") for factor in factors]
        return [Change(f"lr {new:g} in place of {lr:g}", {"lr": new}) for new in values]
    own = getattr(evidence.job.method, "lr", None)
    if not isinstance(own, float | int | Schedule):
        return []
    found = []
    for factor in factors:

        def apply(job: Job, factor: float = factor) -> Job:
            now: Any = job.method.lr
            new = Scaled(now, factor) if isinstance(now, Schedule) else factor * now
            return with_options(job, lr=new)

        times = f"a learning rate {factor:g} times as high"
        words = times
        if not isinstance(own, Schedule):
            words = f"lr {own * factor:.2g} in place of {own:g}"
        found.append(Change(words, apply=apply, otherwise=f"give the method {words}"))
    return found


def _beyond(evidence: Evidence) -> tuple[Figure | None, bool]:
    """The learning rate beside its limit, and whether it is beyond.

    It is measured where the loss rises most until the next sight, until one is beyond.
    """
    limit, sights = evidence.limit, evidence.sights
    if limit is None:
        return None, False
    if limit.preconditioned:
        return _of_adaptive(evidence)
    shares = [evidence.share_at(sight) for sight in sights] + [evidence.end]
    rises = [after - before for before, after in itertools.pairwise(shares)]
    order = sorted(range(len(sights)), key=lambda at: -rises[at])
    found: Figure | None = None
    started = now()
    for at in order[:LOOKS]:
        figure = evidence.stability_at(sights[at])
        if figure is None:
            break
        found = figure if found is None or figure.value > found.value else found
        if figure.value > limit.value:
            return figure, True
        if now() - started > SECONDS:
            break
    return found, False


def _of_adaptive(evidence: Evidence) -> tuple[Figure | None, bool]:
    """An adaptive method moves each parameter by about the learning rate, whatever the gradient.

    Its preconditioned curvature means little while some coordinates have hardly had a gradient.
    """
    w = evidence.sights[0].w.double()
    deviation = float(w.std())
    if deviation == 0:
        return None, False
    lr = max(evidence.lr_at(step) for step in (0, evidence.replay.steps // 2))
    value = lr / deviation
    name = "lr over the deviation of the parameters"
    figure = Figure(name, value, f"a step of an adaptive method; below {STRIDE:g} is usual", 0)
    return figure, value > STRIDE


def _too_high(evidence: Evidence) -> Suspicion | None:
    if evidence.end < LEAST_GAIN:
        return None
    figure, beyond = _beyond(evidence)
    lost = evidence.status in ("diverged", "failed") or evidence.rise > RISEN
    if not (lost or beyond or evidence.end > UNSETTLED):
        return None
    changes = _changes(evidence, [1 / factor for factor in DOWN])
    if evidence.status == "diverged":
        what = "so the loss grew until it was no number any more"
    else:
        what = "so the loss cannot settle"
    sentence = f"The learning rate is too high: every step overshoots the valley, {what}."
    strength = 0.9 if lost and beyond else 0.7 if lost or beyond else 0.2
    return Suspicion(sentence, (figure,) if figure else (), changes, strength) if changes else None


def room(evidence: Evidence) -> tuple[Figure | None, float]:
    """The learning rate beside its limit at the beginning, and how far up the curvature lets it go.

    That is a factor, infinite where the curvature is not known.
    """
    figure = evidence.stability_at(evidence.sights[0])
    if figure is None or figure.value <= 0 or evidence.limit is None:
        return figure, math.inf
    return figure, OF_LIMIT * evidence.limit.value / figure.value


def _too_low(evidence: Evidence) -> Suspicion | None:
    if evidence.status == "diverged":
        return None
    if evidence.end < LITTLE_LEARNED and not (evidence.end > SOME_LEFT and still_falls(evidence)):
        return None
    figure, most = room(evidence)
    if most < WORTH:
        return None
    factors: Sequence[float] = UP
    if most < math.inf:
        first = [each for each in FEW if each < most / 2] if most < FAR else []
        factors = sorted({*first, most / 16, most / 4, most})
        factors = [each for each in factors if each >= WORTH]
    changes = _changes(evidence, factors)
    fell = evidence.share_at(evidence.sights[0]) - evidence.end
    sentence = (
        "The learning rate is too low: the steps go the right way and are far too short to arrive "
        "in the time given."
    )
    strength = 0.6 if fell < LEAST_GAIN else 0.4
    return Suspicion(sentence, (figure,) if figure else (), changes, strength) if changes else None


def _is_worth(found: Experiment) -> bool:
    """Whether a higher rate takes off what a longer training, or another seed, would not."""
    least = min(ENOUGH, max(HALF * found.before, ENOUGH / 2))
    return found.difference > least


CAUSES = (
    Cause(
        *("learning rate too high", 50, "docs/ideas/momentum.md", _too_high),
        opposite="learning rate too low",
    ),
    Cause(
        "learning rate too low",
        50,
        "docs/ideas/settings.md",
        _too_low,
        measure="validation loss",
        opposite="learning rate too high",
        whole=True,
        shows=_is_worth,
    ),
)
