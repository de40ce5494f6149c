r"""The momentum is too high, or too low.

Too high: errors oscillate for about $1 / (1 - \beta)$ steps before they die. Too low: the steepest
direction bears no higher learning rate, and errors along flat ones die in about $\kappa$ steps
without momentum, in $\sqrt \kappa$ with the best, $\kappa$ being the ratio of the two curvatures
(Polyak, 1964).
"""

from __future__ import annotations

from typing import Any

from gradus import methods
from gradus.diagnosis.cause import LEAST_GAIN, Cause, Suspicion
from gradus.diagnosis.causes.learning_rate import ENOUGH, LITTLE_LEARNED, WORTH, room
from gradus.diagnosis.evidence import Evidence
from gradus.diagnosis.findings import Figure
from gradus.diagnosis.fork import Change, with_options
from gradus.engine.job import Job

HIGH = 0.95
"""From which momentum on it is suspected."""

LOW = 0.5
"""Up to which it may be too low."""

USUAL = 0.9

NAMES: dict[type, str] = {
    methods.SGD: "momentum",
    methods.Polyak: "beta",
    methods.Nesterov: "beta",
    methods.RMSprop: "momentum",
}
"""What momentum is called, by method."""


def _too_high(evidence: Evidence) -> Suspicion | None:
    method: Any = evidence.job.method
    name = NAMES.get(type(method))
    if name is None or evidence.end < LEAST_GAIN:
        return None
    beta = float(getattr(method, name))
    if beta < HIGH:
        return None
    figure = Figure(
        "momentum", beta, f"a step is remembered for {1 / max(1 - beta, 1e-6):.0f} steps"
    )
    sentence = (
        "The momentum is too high: the run remembers its steps for so long that it swings past "
        "the valley to and fro."
    )
    lr = method.lr
    changes = []
    if isinstance(lr, float | int) and beta < 1:
        # The same lr / (1 - beta): steps that agree add up to the same length.
        same = float(f"{lr * (1 - USUAL) / (1 - beta):.2g}")
        changes.append(_change(evidence, name, USUAL, same))
    changes += [_change(evidence, name, lower, None) for lower in (USUAL, 0.5)]
    return Suspicion(sentence, (figure,), changes, 0.8)


def _too_low(evidence: Evidence) -> Suspicion | None:
    method: Any = evidence.job.method
    name = NAMES.get(type(method))
    if name is None or evidence.status == "diverged" or evidence.end < LITTLE_LEARNED:
        return None
    beta = float(getattr(method, name))
    figure, most = room(evidence)
    if beta > LOW or figure is None or most >= WORTH:
        return None  # where the rate may be raised, that does the same
    sentence = (
        "The momentum is too low: the steepest direction bears no higher learning rate, and along "
        "the flat ones the steps are too short to arrive; momentum adds up those that agree."
    )
    changes = [_change(evidence, name, higher, None) for higher in (USUAL, 0.97)]
    return Suspicion(sentence, (Figure("momentum", beta), figure), changes, 0.4)


def _change(evidence: Evidence, name: str, beta: float, lr: float | None) -> Change:
    new: dict[str, Any] = {name: beta} if lr is None else {name: beta, "lr": lr}
    said = " and ".join(f"{option} {value:g}" for option, value in new.items())
    if evidence.case.objects.method is None:
        return Change(said, new)

    def apply(job: Job) -> Job:
        return with_options(job, **new)

    return Change(said, apply=apply, otherwise=f"give the method {said}")


CAUSES = (
    Cause(
        *("momentum too high", 40, "docs/ideas/momentum.md", _too_high),
        opposite="momentum too low",
    ),
    Cause(
        "momentum too low",
        40,
        "docs/ideas/momentum.md",
        _too_low,
        measure="validation loss",
        least_gain=ENOUGH,
        opposite="momentum too high",
        whole=True,
    ),
)
