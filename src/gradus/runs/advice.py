r"""What to try after a run that diverged or failed: the cause that can be measured, said once.

In the order in which they are looked for: the scale of the target, the scale of the inputs, the
learning rate against the curvature at the start. Near a minimum a step of gradient descent with
momentum :math:`\beta` shrinks the error along the steepest direction only while
:math:`\alpha \lambda_{\max} < 2 (1 + \beta)` (Polyak, 1964; Goh, 2017).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from gradus.data.dataset import Dataset, Split
from gradus.engine.job import Job
from gradus.methods.catalogue import entries
from gradus.methods.stability import stability_limit as limit_of
from gradus.risk.curvature import sharpness
from gradus.risk.empirical import EmpiricalRisk
from gradus.risk.sparse import is_csr, parts_of
from gradus.runs.spec import RunSpec

EXAMPLES = 1_000
"""Training examples over which the curvature is measured, at most."""

WORK = 10**8
"""Examples times parameters of a product with the Hessian, at most: the record of a run waits for
its advice, and is not to wait long."""

LARGE_TARGET = 100.0
"""A deviation of the target from which on losses and gradients are out of all proportion."""

LARGE_INPUT = 10.0
"""The same of the root mean square of a column of inputs: curvature grows with its square, whether
the column varies or is far from 0, as years are."""

BARELY = 0.01
"""A share of the limit below which a smaller learning rate is no remedy."""

LITTLE = 0.05
"""A share of it below which a larger one is, where the loss fell: what is advised is a tenth,
halved at most by rounding it down to one digit."""

NOTHING = BARELY / 20
"""The same where the loss did not move. Where it rose a tenth of the learning rate is advised, down
to ``BARELY``, halved at most by rounding: none of these is below, and nobody is sent to and fro."""

UNMOVED = 0.001
"""A change of the loss, as a share of it, that is none."""


@dataclass(frozen=True)
class Stability:
    r"""The learning rate of a run beside what the curvature at its start allows.

    Attributes:
        product: :math:`\alpha \lambda_{\max}`.
        limit: what it has to stay below.
        method: in words.
    """

    product: float
    limit: float
    method: str

    @property
    def share(self) -> float:
        """How much of what is allowed is used."""
        return self.product / self.limit

    def lr(self, now: float) -> str:
        """A tenth of what is allowed at the start, since the curvature grows, as one digit."""
        return rounded_down(now / self.share / 10)

    def __str__(self) -> str:
        return (
            f"lr · λ_max is {self.product:.2g} at the start, and {self.method} is stable below "
            f"{self.limit:.3g}"
        )


def advice(spec: RunSpec, split: Split, start: Job, *, beginning: float, end: float) -> str:
    """What to try, in one line.

    Args:
        spec: of the run.
        split: its data.
        start: its job before the first step, the model as the seed draws it.
        beginning: the training loss before the first step.
        end: that after the last, infinite where the run diverged.
    """
    if spec.lr == 0:
        return "a learning rate of 0 moves nothing: give a positive --lr, or --lr auto"
    fell, unmoved = end < beginning, math.isclose(end, beginning, rel_tol=UNMOVED)
    if causes := [*_scale_of_target(split), *_scale_of_inputs(spec, split.train)]:
        return "; ".join(causes)
    entry = entries().get(spec.method)
    if entry is None:
        first = "ten times this one" if unmoved else "a tenth of this one"
        return f"try another learning rate, {first} first, or --method adam"
    if entry.second_order:
        return (
            "try --damping 0.1, or another start by --seed"
            if "damping" in {field.name for field in entry.hyperparameters}
            else "try another start by --seed, or a first-order method as --method adam"
        )
    if (spec.dampening or 0.0) >= 1:
        return (
            f"a dampening of {spec.dampening:g} lets no gradient after the first lower the risk: "
            "try --dampening 0"
        )
    limit = stability_limit(spec)
    if limit is None:
        return _adaptive(spec, start.model, fell=fell)
    largest = largest_curvature(start)
    if (largest is None or largest <= 0) and unmoved:
        return "the loss did not move: try --method adam"
    if largest is None or largest <= 0:
        return f"try --lr {rounded_down(spec.lr / 10)}, or --method adam"
    bound, method = limit
    # Its weight decay bends what SGD descends, and is no part of the risk.
    found = Stability(spec.lr * (largest + (spec.weight_decay or 0.0)), bound, method)
    if found.share >= 1:
        return f"{found}: try --lr {found.lr(spec.lr)}"
    if unmoved and found.share < NOTHING:
        return f"{found}: the steps are far too small; try --lr {found.lr(spec.lr)}"
    if fell and found.share < LITTLE:
        return f"{found}: the steps are small; try --lr {found.lr(spec.lr)}, or more --epochs"
    if fell:
        return f"{found}, and the loss fell: {_where_it_falls(spec)}"
    if unmoved or found.share < BARELY:
        return f"{found}: the learning rate is not the cause; look for extreme values in the data"
    smaller = rounded_down(spec.lr / 10)
    return f"{found}: it has grown on the way, or is more in mini-batches; try --lr {smaller}"


def stability_limit(spec: RunSpec) -> tuple[float, str] | None:
    r"""What :math:`\alpha \lambda_{\max}` has to stay below, and for which method, in words.

    None for methods whose step is not in proportion to the gradient.
    """
    # The limit is the same for every rate, also where that is still to be found.
    found = limit_of(spec.model_copy(update={"lr": 1.0}).build_equation(None))
    return None if found is None or found.preconditioned else (found.value, found.method)


def largest_curvature(start: Job) -> float | None:
    r"""$\lambda_{\max}$ of the Hessian of the risk at the start, over ``EXAMPLES`` examples.

    Fewer where the model is large. None where it cannot be had.
    """
    risk = EmpiricalRisk(start.model.cpu(), start.loss, curvature_sample(start), start.penalty)
    return sharpness(risk, risk.point)


def curvature_sample(start: Job) -> Dataset:
    """The training examples over which the curvature is measured, fewer for a large model."""
    parameters = sum(parameter.numel() for parameter in start.model.parameters())
    train = start.train.subset(slice(0, max(1, min(EXAMPLES, WORK // parameters))))
    return train.to(dtype=start.dtype)


def rounded_down(number: float) -> str:
    """A number with one digit: 0.0371 is 0.03."""
    if number <= 0 or not math.isfinite(number):
        return "0.001"
    unit = 10.0 ** math.floor(math.log10(number))
    return f"{math.floor(number / unit + 1e-9) * unit:g}"


def _scale_of_target(split: Split) -> Iterator[str]:
    if split.task != "regression":
        return
    deviation = float(split.train.y.double().std(dim=0).max()) if len(split.train) > 1 else 0.0
    if deviation >= LARGE_TARGET:
        yield (
            f"the target has a deviation of {deviation:.3g}: divide it by that, so that the loss "
            "and its gradients are near 1"
        )


def _scale_of_inputs(spec: RunSpec, train: Dataset) -> Iterator[str]:
    if spec.standardize:
        return
    x, _ = train.subset(slice(0, 10 * EXAMPLES)).batch()
    if is_csr(x):
        _, columns, values = parts_of(x)
        squares = torch.zeros(x.shape[1], dtype=torch.float64)
        squares.index_add_(0, columns, values.double().square())
        largest = float((squares / len(x)).sqrt().max())
    else:
        largest = float(x.double().flatten(1).square().mean(dim=0).sqrt().max())
    if largest >= LARGE_INPUT:
        yield f"the inputs have a root mean square of up to {largest:.3g}: try --standardize"


def _adaptive(spec: RunSpec, model: nn.Module, *, fell: bool) -> str:
    """A step of an adaptive method moves every parameter by about the learning rate."""
    weights = [p.detach().flatten().double() for p in model.parameters() if p.requires_grad]
    deviation = float(torch.cat(weights).std(correction=0))
    told = (
        f"a step of {spec.method} moves every parameter by about lr = {spec.lr:g}, and their "
        f"deviation is {deviation:.2g} at the start"
    )
    if spec.lr > deviation / 10:
        return f"{told}: try --lr {rounded_down(deviation / 30)}"
    if spec.lr < deviation / 1000:
        return f"{told}: try --lr {rounded_down(deviation / 30)}, or more --epochs"
    if not fell:
        return f"{told}: the learning rate is not the cause; look for extreme values in the data"
    return f"{told}, and the loss fell: {_where_it_falls(spec)}"


def _where_it_falls(spec: RunSpec) -> str:
    """What is left where the loss falls at a learning rate that is neither small nor large."""
    weaker = "" if not spec.strength else f" or a --strength below {spec.strength:g}"
    return f"try more --epochs{weaker}, unless the inputs say nothing of the target"
