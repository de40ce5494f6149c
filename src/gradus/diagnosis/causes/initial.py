"""The parameters begin badly: too large, too small, or all alike.

Each layer should give numbers about as large as it takes, or signals and gradients grow or die with
the depth (Glorot and Bengio, 2010; He et al., 2015). Units that begin alike stay alike.
"""

from __future__ import annotations

import math
from dataclasses import replace

from torch import nn

from gradus.diagnosis.cause import LEAST_GAIN, Cause, Suspicion
from gradus.diagnosis.evidence import Evidence
from gradus.diagnosis.findings import Figure
from gradus.diagnosis.fork import Change
from gradus.diagnosis.layers import BOUNDED, ONE_SIDED, WEIGHTED, redrawn, with_modules
from gradus.engine.job import Job
from gradus.risk.losses import CrossEntropyLoss, NLLLoss

RANGE = 30.0
"""So many times the variance that one layer gives may be that of another."""

ABOVE = 1.3
"""The loss before the first step, in losses of saying nothing, is not above this."""

SILENT = 0.3
"""A larger share of the units of a layer that are silent is too many."""


def _suspect(evidence: Evidence) -> Suspicion | None:
    if evidence.end < LEAST_GAIN or not any(
        isinstance(module, WEIGHTED) for module in evidence.job.model.modules()
    ):
        return None
    layers = evidence.layers_at(evidence.sights[0])
    figures = []
    constant = [layer for layer in layers[:-1] if layer.constant]
    if constant:
        name = f"layer {constant[0].name}: weights that differ"
        figures.append(Figure(name, 0, "units that begin alike stay alike", 0))
    variances = [layer.variance for layer in layers]
    if len(variances) > 2:
        inner = variances[:-1]
        spread = max(inner) / max(min(inner), 1e-300)
        if spread > RANGE and math.isfinite(spread):
            name = "largest over least variance of what a layer gives"
            figures.append(Figure(name, spread, "near 1 lets signals through", 0))
    begins = evidence.share_at(evidence.sights[0]) / _of_none(evidence)
    if begins > ABOVE:
        name = "loss before the first step, over that of outputs that say nothing"
        figures.append(Figure(name, begins, "about 1 where the outputs begin small", 0))
    if silent := [a for a in evidence.activations_at(evidence.sights[0]) if a.silent > SILENT]:
        name = f"silent units of layer {silent[0].name} ({silent[0].kind})"
        figures.append(Figure(name, silent[0].silent, f"below {SILENT:g}", 0))
    if not figures:
        return None
    change = Change(
        "parameters drawn anew, by the width of each layer", apply=_redrawn,
        otherwise="draw the weights with torch.nn.init.kaiming_normal_(layer.weight, "
        "nonlinearity='relu'), and set the biases to 0",
    )  # fmt: skip
    sentence = (
        "The parameters begin badly: signals die or grow out of all proportion on their way "
        "through the layers, or units begin all alike, so training cannot take hold."
    )
    return Suspicion(sentence, tuple(figures), [change], 0.85 if constant else 0.6)


def _of_none(evidence: Evidence) -> float:
    """The loss of equal shares, in losses of the best constant: where classes are rare, it is more.

    A model begins by saying nothing, and not by knowing how often each class is.
    """
    data = evidence.job.train
    if data.classes is None or not isinstance(evidence.job.loss, CrossEntropyLoss | NLLLoss):
        return 1.0
    return max(1.0, math.log(len(data.classes)) / evidence.line)


def _redrawn(job: Job) -> Job:
    redrawn(job.model, job.seed)
    return job


def _vanishing(evidence: Evidence) -> Suspicion | None:
    """Gradients die on their way back through many flat activations."""
    bounded = [m for m in evidence.job.model.modules() if isinstance(m, BOUNDED)]
    if evidence.end < LEAST_GAIN or len(bounded) < 2:
        return None
    layers = evidence.layers_at(evidence.sights[0])
    if len(layers) < 3:
        return None
    ratio = layers[0].ratio / max(layers[-1].ratio, 1e-300)
    if ratio > 1 / RANGE:
        return None
    figure = Figure("gradient over weight, first layer to last", ratio, "near 1 lets all learn", 0)
    kind = type(bounded[0]).__name__
    change = Change(
        f"ReLU in place of {kind}, with parameters drawn for it", apply=_with_relu,
        otherwise=f"put torch.nn.ReLU() in the place of torch.nn.{kind}(), with weights drawn by "
        "torch.nn.init.kaiming_normal_(layer.weight, nonlinearity='relu') and biases 0",
    )  # fmt: skip
    sentence = (
        f"The gradients vanish: each {kind} passes on a part of them, and little is left for the "
        "first layers."
    )
    return Suspicion(sentence, (figure,), [change], 0.5)


def _with_relu(job: Job) -> Job:
    layers = list(job.model.modules())
    model = with_modules(job.model, BOUNDED, nn.ReLU)
    assert layers
    redrawn(model, job.seed)
    return replace(job, model=model)


def _silent(evidence: Evidence) -> Suspicion | None:
    """Units that die on the way."""
    if evidence.end < LEAST_GAIN:
        return None
    first, last = (evidence.activations_at(evidence.sights[at]) for at in (0, -1))
    worst = max(last, key=lambda each: each.silent, default=None)
    if worst is None or worst.silent <= SILENT:
        return None
    begun = next((each.silent for each in first if each.name == worst.name), 0.0)
    if worst.silent < begun + SILENT / 2:
        return None
    step = evidence.sights[-1].step
    name = f"silent units of layer {worst.name} ({worst.kind})"
    figure = Figure(name, worst.silent, f"{begun:.2g} at the beginning", step)
    change = Change(
        "LeakyReLU with slope 0.1 in the place of activations that go silent", apply=_leaky,
        otherwise=f"put torch.nn.LeakyReLU(0.1) in the place of torch.nn.{worst.kind}()",
    )  # fmt: skip
    sentence = (
        "Units have fallen silent: whatever the example they give the same, no gradient passes "
        "through them, and they do not come back."
    )
    return Suspicion(sentence, (figure,), [change], 0.4)


def _leaky(job: Job) -> Job:
    kinds = (*BOUNDED, *ONE_SIDED)
    return replace(job, model=with_modules(job.model, kinds, lambda: nn.LeakyReLU(0.1)))


CAUSES = (
    Cause("bad initial parameters", 30, "docs/ideas/training.md", _suspect),
    Cause("vanishing gradients", 35, "docs/ideas/training.md", _vanishing),
    Cause("silent units", 55, "docs/ideas/training.md", _silent),
)
