r"""The output of the model and the loss do not fit.

Cross entropy takes logits. On probabilities it cannot fall below
$\log(e + C - 1) - 1$, and its gradient is weak; on outputs that cannot be negative, or are bounded,
it is held up likewise. A last activation may cut off what a regression has to reach.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from gradus.diagnosis.cause import LEAST_GAIN, Cause, Suspicion
from gradus.diagnosis.evidence import Evidence
from gradus.diagnosis.findings import Figure
from gradus.diagnosis.fork import Change
from gradus.diagnosis.layers import ACTIVATIONS, WEIGHTED, chain_of, chained
from gradus.engine.evaluate import outputs_on
from gradus.engine.job import Job
from gradus.risk.losses import CrossEntropyLoss, KLDivLoss, NLLLoss

AS_ONE = 1e-3
"""Probabilities sum to 1 within this."""


class Logarithm(nn.Module):
    """The logarithm of probabilities: what cross entropy takes in place of them."""

    def forward(self, p: Tensor) -> Tensor:
        """Of each number."""
        return p.clamp_min(torch.finfo(p.dtype).tiny).log()


def _suspect(evidence: Evidence) -> Suspicion | None:
    if (
        0 <= evidence.end < LEAST_GAIN
    ):  # no loss of these is below 0 where it is given what it takes
        return None
    outputs = outputs_on(evidence.sights[-1].model(evidence.job), evidence.sample).double()
    if not bool(outputs.isfinite().all()):
        outputs = outputs_on(evidence.sights[0].model(evidence.job), evidence.sample).double()
    if not bool(outputs.isfinite().all()):
        return None
    loss = evidence.job.loss
    if isinstance(loss, CrossEntropyLoss):
        return _of_cross_entropy(evidence, outputs)
    if isinstance(loss, NLLLoss | KLDivLoss):
        return _of_log_probabilities(evidence, outputs)
    return _of_numbers(evidence, outputs)


def _of_cross_entropy(evidence: Evidence, outputs: Tensor) -> Suspicion | None:
    classes = outputs.shape[1]
    if _are_probabilities(outputs):
        floor = math.log(math.e + classes - 1) - 1
        figure = Figure("the least cross entropy of probabilities", floor, "0 for logits")
        sentence = (
            "The model ends in a softmax, and the loss takes another one: it should be given the "
            "outputs before the softmax."
        )
        said = "the loss on outputs before the softmax"
        words = "leave out the softmax at the end of the model; CrossEntropyLoss has its own"
        change = Change(said, apply=_without_softmax, otherwise=words)
        return Suspicion(sentence, (figure,), [change], 0.9)
    chain = chain_of(evidence.job.model)
    if chain is None or not isinstance(chain[-1], ACTIVATIONS):
        return None
    kind = type(chain[-1]).__name__
    figure = Figure("least output", float(outputs.min()), f"{kind} bounds it; logits have no bound")
    return _last_activation(kind, figure, "logits, which may be any number")


def _of_log_probabilities(evidence: Evidence, outputs: Tensor) -> Suspicion | None:
    total = outputs.exp().sum(dim=1)
    if bool(((total - 1).abs() < AS_ONE).all()):
        return None
    name = type(evidence.job.loss).__name__
    farthest = float(total[(total - 1).abs().argmax()])
    figure = Figure("sum of exp(output), the farthest from 1", farthest, "1 for log-probabilities")
    if _are_probabilities(outputs):
        sentence = f"The model gives probabilities, and {name} takes their logarithms."
        change = Change(
            "the logarithm of the outputs", apply=_with(Logarithm()),
            otherwise="end the model in torch.nn.LogSoftmax(dim=1) in place of the softmax",
        )  # fmt: skip
    else:
        sentence = f"The model gives logits, and {name} takes log-probabilities."
        change = Change(
            "a log-softmax after the outputs", apply=_with(nn.LogSoftmax(dim=1)),
            otherwise="end the model in torch.nn.LogSoftmax(dim=1)",
        )  # fmt: skip
    # What falls without bound is no loss: the trials are compared by what they predict.
    return Suspicion(
        sentence, (figure,), [change], 0.9, measure="log loss of what is predicted", told=True
    )


def _of_numbers(evidence: Evidence, outputs: Tensor) -> Suspicion | None:
    chain = chain_of(evidence.job.model)
    y = evidence.sample.targets().double()
    if chain is None or not y.is_floating_point() or y.shape != outputs.shape:
        return None
    if not isinstance(chain[-1], (*ACTIVATIONS, nn.Softmax)):
        return None
    kind = type(chain[-1]).__name__
    low, high = float(outputs.min()), float(outputs.max())
    outside = float(((y < low) | (y > high)).double().mean())
    if outside < LEAST_GAIN:
        return None
    figure = Figure("share of targets out of reach of the outputs", outside, "0")
    return _last_activation(kind, figure, "numbers of any size")


def _last_activation(kind: str, figure: Figure, wanted: str) -> Suspicion:
    sentence = f"The model ends in {kind}, which bounds its outputs; the loss is for {wanted}."
    change = Change(
        f"no {kind} at the end of the model", apply=_without_last,
        otherwise=f"leave out the {kind} at the end of the model",
    )  # fmt: skip
    return Suspicion(sentence, (figure,), [change], 0.85)


def _are_probabilities(outputs: Tensor) -> bool:
    return bool((outputs >= 0).all() and ((outputs.sum(dim=1) - 1).abs() < AS_ONE).all())


def _without_softmax(job: Job) -> Job:
    chain = chain_of(job.model)
    if chain is not None and isinstance(chain[-1], nn.Softmax):
        return _without_last(job)
    return _with(Logarithm())(job)


def _without_last(job: Job) -> Job:
    chain = chain_of(job.model)
    assert chain is not None
    return replace(job, model=chained(chain[:-1], job.model))


class _With:
    """A job whose model has a module more at its end."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __call__(self, job: Job) -> Job:
        layers = [*(chain_of(job.model) or [job.model]), self.module]
        return replace(job, model=chained(layers, job.model))


def _with(module: nn.Module) -> _With:
    return _With(module)


def _no_curve(evidence: Evidence) -> Suspicion | None:
    """Two linear layers without anything between are one."""
    chain = chain_of(evidence.job.model)
    if evidence.end < LEAST_GAIN or chain is None:
        return None
    pairs = _bare(chain)
    if not pairs:
        return None
    figure = Figure("linear layers that follow another at once", len(pairs), "0")
    change = Change(
        "a ReLU between linear layers", apply=_with_curve,
        otherwise="put torch.nn.ReLU() between the linear layers",
    )  # fmt: skip
    sentence = (
        "Nothing stands between linear layers: together they are one linear layer, and cannot bend."
    )
    return Suspicion(sentence, (figure,), [change], 0.7)


def _bare(chain: Sequence[nn.Module]) -> list[int]:
    """Where a layer follows another with nothing but what is linear between."""
    shapes = (nn.Flatten, nn.Identity, nn.Dropout)
    at = [(i, layer) for i, layer in enumerate(chain) if not isinstance(layer, shapes)]
    return [
        i
        for (_, before), (i, layer) in itertools.pairwise(at)
        if isinstance(before, WEIGHTED) and isinstance(layer, nn.Linear)
    ]


def _with_curve(job: Job) -> Job:
    chain = chain_of(job.model)
    assert chain is not None
    bare = set(_bare(chain))
    layers: list[nn.Module] = []
    for i, layer in enumerate(chain):
        layers += [nn.ReLU(), layer] if i in bare else [layer]
    return replace(job, model=chained(layers, job.model))


CAUSES = (
    Cause("output and loss do not fit", 20, "docs/ideas/losses.md", _suspect),
    Cause("missing non-linearity", 30, "docs/ideas/training.md", _no_curve),
)
