"""Which jobs the C++ kernels run: dense networks, their losses, methods and penalties.

Each part of a job is put into the words of the kernels, or refused with what stands in the way.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from gradus import methods
from gradus.data.dataset import Dataset
from gradus.data.sampling import Sampling
from gradus.engine.activations import IDENTITY, Activation, activation_of
from gradus.engine.graph import computes, is_own, layers_of
from gradus.engine.job import Job
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
)
"""The losses that the kernels know; a subclass of one may compute something else."""


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


@dataclass(frozen=True, eq=False)
class Network:
    """A stack of linear layers, each with what follows it."""

    linears: tuple[nn.Linear, ...]
    """They hold the parameters of the model, whether or not they are layers of it."""
    activations: tuple[Activation, ...]
    log_softmax: bool
    flattens: bool = False

    @property
    def widths(self) -> list[int]:
        """Of the inputs, and of every layer."""
        return [self.linears[0].weight.shape[1], *(len(linear.weight) for linear in self.linears)]

    def is_all_of(self, model: nn.Module) -> bool:
        """Whether its parameters are those of the model, in their order, and all of them move."""
        own = [p for linear in self.linears for p in (linear.weight, linear.bias) if p is not None]
        given = list(model.parameters())
        return list(map(id, own)) == list(map(id, given)) and all(p.requires_grad for p in given)


def network_of(model: nn.Module) -> Network:
    """The dense network that a model is.

    Raises:
        Obstacle: it is none; the first layer that says so is named.
    """
    linears: list[nn.Linear] = []
    activations: list[Activation] = []
    log_softmax = flattens = False
    layers: list[nn.Module] = []
    for name, layer in _layers(model):
        layers.append(layer)
        told = _told(name, layer)
        if log_softmax and type(layer) is not nn.Identity:
            raise Obstacle(f"{told} after a LogSoftmax")
        if type(layer) is nn.Flatten:
            if linears or (layer.start_dim, layer.end_dim) != (1, -1):
                raise Obstacle(f"{told}: Flatten is taken first, from dimension 1 on")
            flattens = True
        elif type(layer) is nn.Linear:
            if any(layer is other for other in linears):
                raise Obstacle(f"{told}, which stands in the model twice")
            _require_plain(layer, told)
            if 0 in layer.weight.shape:
                raise Obstacle(f"{told} of width 0")
            linears.append(layer)
            activations.append(IDENTITY)
        elif type(layer) is nn.LogSoftmax and layer.dim in (1, -1) and linears:
            if activations[-1] != IDENTITY:
                raise Obstacle(f"{told} right after another activation")
            log_softmax = True
        else:
            activation = activation_of(layer)
            if activation is None:
                raise Obstacle(told)
            if activation == IDENTITY:
                continue
            if not linears or activations[-1] != IDENTITY:
                raise Obstacle(f"{told} where no Linear stands before it")
            activations[-1] = activation
    if not linears:
        raise Obstacle(f"{type(model).__name__}: it has no Linear layer")
    both = [p for linear in linears for p in (linear.weight, linear.bias)]
    parameters = [parameter for parameter in both if parameter is not None]
    if len({id(parameter) for parameter in parameters}) < len(parameters):
        raise Obstacle("layers that share their parameters")
    if not any(parameter.requires_grad for parameter in parameters):
        raise Obstacle("layers that are all frozen")
    known = {id(parameter) for parameter in parameters}
    for name, parameter in model.named_parameters():
        if id(parameter) not in known:
            raise Obstacle(f"the parameter {name}: it is no weight or bias of a Linear layer")
    network = Network(tuple(linears), tuple(activations), log_softmax, flattens)
    for (before, after), linear in zip(itertools.pairwise(network.widths), linears, strict=True):
        if linear.weight.shape != (after, before):
            raise Obstacle(f"{before} outputs where {linear.weight.shape[1]} are taken")
    is_read = any(map(is_own, model.modules()))
    if is_read and not computes(model, layers, network.widths[0]):
        raise Obstacle(f"{type(model).__name__}, which has gradients of its own")
    return network


def _layers(model: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The layers in the order in which nested Sequentials and modules of one's own call them."""
    if is_own(model):
        for inner, each in model.named_modules():
            if _is_changed(each):
                place = ".".join(filter(None, (name, inner)))
                raise Obstacle(f"hooks (on {place or type(model).__name__})")
        yield from layers_of(model, _told(name, model), name)
        return
    if _is_changed(model):
        raise Obstacle(f"hooks (on {name or type(model).__name__})")
    if type(model) is not nn.Sequential:
        yield name, model
        return
    for inner, layer in model._modules.items():  # named_children tells a layer only once
        assert layer is not None
        yield from _layers(layer, f"{name}.{inner}" if name else inner)


def _told(name: str, layer: nn.Module) -> str:
    return f"layer {name} ({type(layer).__name__})" if name else type(layer).__name__


def _is_changed(module: nn.Module) -> bool:
    """Whether calling it does something that its type does not say."""
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
    changed = any(hooks) or bool(module._backward_pre_hooks) or "forward" in vars(module)
    return changed or _has_any_global_hook()


def _require_plain(linear: nn.Linear, told: str) -> None:
    """Refuse a layer with parameters that are not those of a Linear as it is made."""
    for kind in ("weight", "bias"):
        parameter = getattr(linear, kind)
        if parameter is None and kind == "bias":
            continue
        if type(parameter) is not nn.Parameter:
            raise Obstacle(f"{told} with a {kind} that is a {type(parameter).__name__}")
    outputs = len(linear.weight) if linear.weight.ndim == 2 else None
    if outputs is None or (linear.bias is not None and linear.bias.shape != (outputs,)):
        raise Obstacle(f"{told} with parameters of unusual shapes")


def loss_of(loss: losses.Loss, data: Dataset, outputs: int) -> Loss:
    """The loss in the words of the kernels, for these targets.

    Raises:
        Obstacle: they do not know it.
    """
    name = type(loss).__name__
    if type(loss) not in LOSSES:
        raise Obstacle(f"the loss {name}")
    if _is_changed(loss):
        raise Obstacle(f"hooks (on {name})")
    if loss.reduction == "none":
        raise Obstacle(f"{name} with reduction none")
    y = data.y
    mass = {"sum": "one", "batchmean": "examples", "mean": "elements"}[loss.reduction]
    if isinstance(loss, losses.NLLLoss | losses.CrossEntropyLoss):
        weight = () if loss.weight is None else tuple(loss.weight.tolist())
        smoothing = getattr(loss, "label_smoothing", 0.0)
        kind = "nll" if isinstance(loss, losses.NLLLoss) else "cross-entropy"
        if weight and len(weight) != outputs:
            raise Obstacle(f"{name} with {len(weight)} class weights for {outputs} outputs")
        if y.is_floating_point():
            if kind == "nll" or y.shape[1:] != (outputs,):
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
        Obstacle: it is no dense network, or something is not of this package; it says what.
    """
    if job.dtype not in (torch.float32, torch.float64):
        raise Obstacle(f"numbers of {job.dtype}")
    for given, kind in ((job.train, Dataset), (job.test, Dataset), (job.sampling, Sampling)):
        if type(given) is not kind:
            raise Obstacle(f"{type(given).__name__}, which may be another {kind.__name__}")
    network = network_of(job.model)
    for shape in (job.train.input_shape, job.test.input_shape):
        if len(shape) != 1 and not network.flattens:
            raise Obstacle(f"inputs of shape {list(shape)} without a Flatten")
        if math.prod(shape) != network.widths[0]:
            raise Obstacle(f"{math.prod(shape)} inputs where {network.widths[0]} are taken")
    loss_of(job.loss, job.train, network.widths[-1])
    return network
