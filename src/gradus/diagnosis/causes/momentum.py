r"""The momentum is too high: errors oscillate for about $1 / (1 - \beta)$ steps before they die."""

from __future__ import annotations

from typing import Any

from gradus import methods
from gradus.diagnosis.cause import LEAST_GAIN, Cause, Suspicion
from gradus.diagnosis.evidence import Evidence
from gradus.diagnosis.findings import Figure
from gradus.diagnosis.fork import Change, with_options
from gradus.engine.job import Job

HIGH = 0.95
"""From which momentum on it is suspected."""

USUAL = 0.9

NAMES: dict[type, str] = {
    methods.SGD: "momentum",
    methods.Polyak: "beta",
    methods.Nesterov: "beta",
    methods.RMSprop: "momentum",
}
"""What momentum is called, by method."""


def _suspect(evidence: Evidence) -> Suspicion | None:
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


def _change(evidence: Evidence, name: str, beta: float, lr: float | None) -> Change:
    new: dict[str, Any] = {name: beta} if lr is None else {name: beta, "lr": lr}
    said = " and ".join(f"{option} {value:g}" for option, value in new.items())
    if evidence.case.objects.method is None:
        return Change(said, new)

    def apply(job: Job) -> Job:
        return with_options(job, **new)

    return Change(said, apply=apply, otherwise=f"give the method {said}")


CAUSE = Cause("momentum too high", 40, "docs/ideas/momentum.md", _suspect)
