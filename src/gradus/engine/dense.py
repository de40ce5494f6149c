"""Which jobs the C++ kernels run: networks of known layers, losses, methods and penalties.

Each part of a job is put into the words of the kernels, or refused with what stands in the way.
"""

from __future__ import annotations

import math

import torch

from gradus.data.dataset import Dataset
from gradus.data.sampling import Sampling
from gradus.data.streaming.order import StreamOrder
from gradus.engine.job import Job
from gradus.engine.layers import Network as Network
from gradus.engine.layers import is_changed
from gradus.engine.layers import network_of as network_of
from gradus.engine.words import Loss, movement_of
from gradus.optim.rules import Obstacle as Obstacle
from gradus.risk import losses

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


def check(job: Job) -> None:
    """Whether the kernels run the job.

    Raises:
        Obstacle: they do not; it says why.
    """
    if job.device.type != "cpu":
        raise Obstacle(f"on {job.device.type}: it is for the CPU")
    check_risk(job)
    movement_of(job)


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
