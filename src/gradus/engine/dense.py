"""Which jobs the C++ kernels run: networks of known layers, losses, methods and penalties.

Each part of a job is put into the words of the kernels, or refused with what stands in the way.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gradus import methods
from gradus.data.dataset import Dataset
from gradus.data.sampling import Sampling
from gradus.data.streaming.order import StreamOrder
from gradus.engine.job import Job
from gradus.engine.layers import Network as Network
from gradus.engine.layers import is_changed
from gradus.engine.layers import network_of as network_of
from gradus.methods.method import Method
from gradus.optim.rules import KNOWN
from gradus.optim.rules import Obstacle as Obstacle
from gradus.optim.rules import method_of as method_of
from gradus.risk import losses, penalties

PENALTIES = (penalties.L1, penalties.L2, penalties.SquaredL2, penalties.ElasticNet)
METHODS = (*KNOWN, methods.Proximal)
# What derives from these may compute something else, and is left to the eager engine.


LOSSES = (
    losses.CrossEntropyLoss,
    losses.NLLLoss,
    losses.MSELoss,
    losses.L1Loss,
    losses.KLDivLoss,
    losses.HuberLoss,
    losses.PinballLoss,
    losses.HingeLoss,
    losses.ModifiedHuberLoss,
)
"""The losses that the kernels know; a subclass of one may compute something else."""

OfClasses = losses.CrossEntropyLoss | losses.NLLLoss | losses.HingeLoss | losses.ModifiedHuberLoss
"""Those of them that take class indices."""

NAMES: dict[type[OfClasses], str] = {
    losses.CrossEntropyLoss: "cross-entropy",
    losses.NLLLoss: "nll",
    losses.HingeLoss: "hinge",
    losses.ModifiedHuberLoss: "modified-huber",
}
"""What the kernels call them."""


class Loss(NamedTuple):
    """A loss, as the kernels call it."""

    name: str
    mass: str
    """What the mean divides by."""
    smoothing: float = 0.0
    ignored: int = -1
    class_weights: tuple[float, ...] = ()
    shape: float = 0.0
    """Delta of Huber's, the quantile of the pinball loss."""


def loss_of(loss: losses.Loss, data: Dataset, outputs: int) -> Loss:
    """The loss in the words of the kernels, for these targets.

    Raises:
        Obstacle: they do not know it.
    """
    name = type(loss).__name__
    if type(loss) not in LOSSES:
        raise Obstacle(f"the loss {name}")
    if is_changed(loss):
        raise Obstacle(f"hooks (on {name})")
    if loss.reduction == "none":
        raise Obstacle(f"{name} with reduction none")
    y = data.y
    mass = {"sum": "one", "batchmean": "examples", "mean": "elements"}[loss.reduction]
    if isinstance(loss, OfClasses):
        weight = () if loss.weight is None else tuple(loss.weight.tolist())
        smoothing = getattr(loss, "label_smoothing", 0.0)
        kind = NAMES[type(loss)]
        if weight and len(weight) != outputs:
            raise Obstacle(f"{name} with {len(weight)} class weights for {outputs} outputs")
        if y.is_floating_point():
            if kind != "cross-entropy" or y.shape[1:] != (outputs,):
                raise Obstacle(f"{name} on targets of shape {list(y.shape)}")
            if loss.ignore_index >= 0:
                raise Obstacle(f"{name} with ignore_index {loss.ignore_index} on probabilities")
            mass = "one" if mass == "one" else "examples"
            return Loss(kind, mass, smoothing, -1, weight)
        if y.ndim != 1:
            raise Obstacle(f"{name} on targets of shape {list(y.shape)}")
        ignored = y == loss.ignore_index
        if not bool((ignored | ((y >= 0) & (y < outputs))).all()):
            raise Obstacle(f"{name} on targets that are no classes from 0 to {outputs - 1}")
        if mass != "one":
            mass = "class-weights" if weight or bool(ignored.any()) else "examples"
        return Loss(kind, mass, smoothing, loss.ignore_index, weight)
    if y.shape[1:] != (outputs,) or not y.is_floating_point():
        raise Obstacle(f"{name} on targets of shape {list(y.shape)}, for {outputs} outputs")
    if isinstance(loss, losses.KLDivLoss):
        return Loss("kl-log" if loss.log_target else "kl", mass)
    if isinstance(loss, losses.HuberLoss):
        return Loss("huber", mass, shape=loss.delta)
    if isinstance(loss, losses.PinballLoss):
        return Loss("pinball", mass, shape=loss.quantile)
    return Loss("mse" if isinstance(loss, losses.MSELoss) else "l1", mass)


def aheads_of(method: Method) -> Iterator[float]:
    """By how much of the last step each next query is ahead of the iterate, step by step."""
    if isinstance(method, methods.Proximal):
        method = method.method
    if isinstance(method, methods.Nesterov):
        yield from itertools.repeat(float(method.beta))
    if isinstance(method, methods.ProximalGradient) and method.accelerated:
        theta = 1.0
        while True:
            after = (1 + (1 + 4 * theta**2) ** 0.5) / 2
            yield (theta - 1) / after
            theta = after


def accumulated(method: Method) -> float:
    """What Adagrad's sums of squares are before the first step; 0 where there are no such."""
    if isinstance(method, methods.Proximal):
        method = method.method
    return float(method.initial_accumulator_value) if isinstance(method, methods.Adagrad) else 0.0


def penalty_of(penalty: penalties.Penalty | None, method: Method) -> dict[str, Any]:
    """The penalty, as keywords of the kernels' Penalty.

    Raises:
        Obstacle: the kernels do not know the penalty.
    """
    is_proximal = isinstance(method, methods.Proximal | methods.ProximalGradient)
    if penalty is None and is_proximal:
        raise Obstacle(f"{type(method).__name__} without a penalty")
    numbers: dict[str, Any]
    if penalty is not None and type(penalty) not in PENALTIES:
        raise Obstacle(f"the penalty {type(penalty).__name__}")
    match penalty:
        case None:
            numbers = {}
        case penalties.L1():
            numbers = {"absolute": penalty.strength}
        case penalties.L2():
            numbers = {"norm": penalty.strength}
        case penalties.SquaredL2():
            numbers = {"square": penalty.strength}
        case penalties.ElasticNet():
            numbers = {
                "absolute": penalty.strength * penalty.l1_ratio,
                "square": penalty.strength * (1 - penalty.l1_ratio),
            }
    if any(isinstance(value, Tensor) for value in numbers.values()):
        raise Obstacle(f"{type(penalty).__name__} with strength a tensor")
    return {**numbers, "proximal": is_proximal}


def check(job: Job) -> None:
    """Whether the kernels run the job.

    Raises:
        Obstacle: they do not; it says why.
    """
    if job.device.type != "cpu":
        raise Obstacle(f"on {job.device.type}: it is for the CPU")
    check_risk(job)
    if type(job.method) not in METHODS:
        raise Obstacle(f"the method {getattr(job.method, 'name', type(job.method).__name__)}")
    method_of(job.method)
    penalty_of(job.penalty, job.method)


def check_risk(job: Job) -> Network:
    """The network of a job whose data and loss go with it.

    Raises:
        Obstacle: it is no network of known layers, or something is not of this package; it says
            what.
    """
    if job.dtype not in (torch.float32, torch.float64):
        raise Obstacle(f"numbers of {job.dtype}")
    for given, kind in ((job.train, Dataset), (job.test, Dataset), (job.sampling, Sampling)):
        if type(given) not in (kind, StreamOrder):
            raise Obstacle(f"{type(given).__name__}, which may be another {kind.__name__}")
    network = network_of(job.model)
    for shape in (job.train.input_shape, job.test.input_shape):
        if len(shape) != 1 and not network.flattens:
            raise Obstacle(f"inputs of shape {list(shape)} without a Flatten")
        if math.prod(shape) != network.inputs:
            raise Obstacle(f"{math.prod(shape)} inputs where {network.inputs} are taken")
    loss_of(job.loss, job.train, network.widths[-1])
    for layer in network.layers:
        if layer.kind == "batch-norm" and not min(job.sampling.sizes) > 1:
            raise Obstacle(f"{layer.told} on a batch of one example")
        if layer.kind == "batch-norm" and max(job.sampling.sizes) > job.chunk_size:
            raise Obstacle(f"{layer.told} on more than {job.chunk_size} examples at once")
    return network
