"""A training that is too long for its examples, and a model that is too small for them."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import nn

from gradus.diagnosis.cause import LEAST_GAIN, Cause, Suspicion
from gradus.diagnosis.evidence import Evidence
from gradus.diagnosis.falling import FALLING, fallen
from gradus.diagnosis.findings import Experiment, Figure
from gradus.diagnosis.fork import WORST, Change
from gradus.diagnosis.replay import Sight
from gradus.engine.evaluate import evaluate
from gradus.engine.job import Job
from gradus.models.networks import ACTIVATIONS

ABOVE = 1.1
"""So many times its least the loss of held examples may end at (Prechelt, 1998: 1.05)."""

STILL = 0.005
"""An accuracy that rose by more since that least is still rising."""

LONGER = 3
"""Times as many epochs as are tried."""

MUCH = 0.125
"""Of the loss of the best constant, and of the loss that is left, the share (in the geometric mean)
that going on has to take off."""

OF_REACHED = 0.08
"""Of what the run has taken off the loss of the best constant, what going on has to take off
besides. Runs that nothing is wrong with gain up to 0.045 of it, those that had a fifth of their
epochs 0.087 and more where they are told so."""

NARROW = 16
"""Units of a layer, more than which are not called few."""

WIDER = (4, 16)
"""By which factors layers are made wider."""


def _overfitting(evidence: Evidence) -> Suspicion | None:
    """The run where it stood best is the same run, stopped in time: what it has shown is enough."""
    run, job = evidence.case.run, evidence.job
    if evidence.held is None:
        return None
    kept = None if run is None else run.summary["kept"]
    if kept is not None and kept["which"] == "best":
        return None
    if len(evidence.sights) < 4 or "diverged" in (evidence.status, evidence.replay.status):
        return None
    held = [evidence.held_at(sight) for sight in evidence.sights]
    at = int(np.argmin([each.mean() for each in held]))
    sight, last = evidence.sights[at], evidence.sights[-1]
    end, least = float(held[-1].mean()), float(held[at].mean())
    if sight is last or sight.step == 0 or end < ABOVE * least:
        return None
    if evidence.loss_at(last) >= evidence.loss_at(sight):
        return None
    before, after = _accuracy(evidence, sight), _accuracy(evidence, last)
    if before is not None and after is not None and after > before + STILL:
        return None
    epochs = max(1, round(sight.step / job.sampling.steps))
    limit = f"at most {ABOVE:g} is usual; it was least after step {sight.step:,}"
    figure = Figure("validation loss at the end over its least", end / least, limit)
    difference = held[-1] - held[at]
    error = float(difference.std(ddof=1) / len(difference) ** 0.5)
    change = Change(f"{epochs} epochs in place of {job.epochs}", {"epochs": epochs})
    shown = Experiment(
        *(change.said, "validation loss", sight.step, 1, min(end, WORST), least),
        *(min(end, WORST) - least, error, "the end of the run"),
    )
    sentence = (
        f"The run learns its examples by heart: after about epoch {epochs} the training loss goes "
        "on falling, and that of examples it does not see rises."
    )
    return Suspicion(sentence, (figure,), [change], 0.5, shown=shown)


def _too_short(evidence: Evidence) -> Suspicion | None:
    """The loss was still falling when the run ended."""
    job = evidence.job
    if evidence.status == "diverged" or evidence.end < LEAST_GAIN or len(evidence.losses) < 2:
        return None
    if not isinstance(job.method.lr if hasattr(job.method, "lr") else None, float):
        return None  # a schedule ends where it is meant to
    share = fallen(evidence)
    if share < FALLING:
        return None
    limit = f"{100 * FALLING:g} % tell that it has arrived"
    figure = Figure("what the last quarter took off the training loss", share, limit)
    longer = LONGER * job.epochs
    change = Change(f"{longer} epochs in place of {job.epochs}", {"epochs": longer})
    sentence = "The run ended before it had arrived: the loss was still falling."
    return Suspicion(sentence, (figure,), [change], 0.35)


def _is_much(found: Experiment) -> bool:
    """Whether going on takes off what matters: of the loss, and of what the run has reached.

    The geometric mean of its shares of all that can be lost and of what is left is held against a
    limit. Where little is left, a large part of it is a small one of what the run has taken off
    already: most runs gain that by going on, and are healthy.
    """
    left = max(found.before, 0.0)
    return found.difference > max(MUCH * math.sqrt(left), OF_REACHED * (1 - left))


def _accuracy(evidence: Evidence, sight: Sight) -> float | None:
    assert evidence.held is not None
    return evaluate(sight.model(evidence.job), evidence.job.loss.cpu(), evidence.held).accuracy


def _underfitting(evidence: Evidence) -> Suspicion | None:
    spec = evidence.case.spec
    if evidence.end < 1.5 * LEAST_GAIN or evidence.status == "diverged":
        return None
    chain = _between(evidence.job.model)
    widths = spec.hidden or tuple(layer.out_features for layer, _ in chain)
    if not widths or min(widths) > NARROW:
        return None
    changes = []
    for factor in WIDER:
        wider = tuple(max(width, min(64, factor * width)) for width in widths)
        said = f"hidden layers of {', '.join(map(str, wider))} units"
        if spec.hidden and spec.model == "mlp":
            changes.append(Change(said, {"hidden": wider}))
        else:

            def apply(job: Job, wider: Sequence[int] = wider) -> Job:
                return replace(job, model=widened(job.model, wider))

            changes.append(Change(said, apply=apply, otherwise=f"give the model {said}"))
    figure = Figure("units of the narrowest layer", float(min(widths)))
    sentence = (
        "The model is too small: what the examples say does not pass through its narrowest layer."
    )
    return Suspicion(sentence, (figure,), changes, 0.3)


def _between(model: nn.Module) -> list[tuple[nn.Linear, nn.Linear]]:
    """Linear layers of a chain with nothing between them but activations."""
    if not isinstance(model, nn.Sequential):
        return []
    found: list[tuple[nn.Linear, nn.Linear]] = []
    last: nn.Linear | None = None
    for layer in model:
        if isinstance(layer, nn.Linear):
            if last is not None:
                found.append((last, layer))
            last = layer
        elif not isinstance(layer, tuple(ACTIVATIONS.values())):
            last = None
    return found


def widened(model: nn.Module, widths: Sequence[int]) -> nn.Module:
    """A copy whose linear layers between activations have other widths, drawn anew.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 1), nn.ReLU(), nn.Linear(1, 3))
        >>> widened(net, (8,))
        Sequential(
          (0): Linear(in_features=2, out_features=8, bias=True)
          (1): ReLU()
          (2): Linear(in_features=8, out_features=3, bias=True)
        )
    """
    made = copy.deepcopy(model)
    assert isinstance(made, nn.Sequential)
    incoming: dict[nn.Linear, int] = {}
    outgoing: dict[nn.Linear, int] = {}
    for (before, after), width in zip(_between(made), widths, strict=True):
        outgoing[before], incoming[after] = width, width
    for at, layer in enumerate(made):
        if isinstance(layer, nn.Linear) and (layer in incoming or layer in outgoing):
            inputs = incoming.get(layer, layer.in_features)
            outputs = outgoing.get(layer, layer.out_features)
            new = nn.Linear(inputs, outputs, layer.bias is not None)
            made[at] = new.to(layer.weight).requires_grad_(layer.weight.requires_grad)
    return made


CAUSES: Sequence[Cause] = (
    Cause(
        *("too few epochs", 55, "docs/ideas/training.md", _too_short, "validation loss"),
        least_gain=0.04,
        whole=True,  # a shortened run has had too few epochs by itself
        shows=_is_much,
        last=True,
    ),
    Cause(
        "overfitting", 45, "docs/ideas/training.md", _overfitting, "validation loss", 0.04
    ),
    Cause(
        "underfitting", 35, "docs/ideas/settings.md", _underfitting, "validation loss", whole=True
    ),
)  # fmt: skip
