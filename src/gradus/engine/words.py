"""What the kernels are told of a run: their words for its network, its loss and how w moves.

Nothing here needs PyTorch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gradus import kernels, methods
from gradus.engine.job import Task
from gradus.importing import is_tensor
from gradus.methods.method import Method
from gradus.optim.rules import KNOWN, Obstacle, method_of
from gradus.risk import penalties

PENALTIES = (penalties.L1, penalties.L2, penalties.SquaredL2, penalties.ElasticNet)
METHODS = (*KNOWN, methods.Proximal)
# What derives from these may compute something else, and is left to the eager engine.

OF_CLASSES = ("cross-entropy", "nll", "hinge", "modified-huber")
"""The losses that take class indices."""


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


def mean_of(name: str, *, smoothing: float = 0.0, shape: float = 0.0) -> Loss:
    """The mean of a loss over all examples, or over all numbers."""
    mass = "examples" if name in OF_CLASSES else "elements"
    return Loss(name, mass, smoothing, -100 if name in OF_CLASSES else -1, (), shape)


class Words(NamedTuple):
    """A network that trains."""

    bits: int
    """Of a number: 32 or 64."""
    inputs: int
    layers: Sequence[Mapping[str, Any]]
    """Keywords of the core's ``Layer``."""
    log_softmax: bool
    loss: Loss
    method: Mapping[str, Any]
    penalty: Mapping[str, Any]
    options: Mapping[str, Any]
    """What is not as in every other run."""

    @property
    def outputs(self) -> int:
        """How many numbers the last layer gives."""
        return int(self.layers[-1]["outputs"])

    @property
    def risk(self) -> Any:
        """The loss as an object of the core."""
        core: Any = kernels.core()
        return getattr(core, f"Risk{self.bits}")(*self.loss)

    def movement(self) -> tuple[Any, Any]:
        """How w moves, likewise."""
        core: Any = kernels.core()
        return core.Method(**self.method), core.Penalty(**self.penalty)

    def network(self, size: int, threads: int) -> Any:
        """The core's network of dense inputs, for batches of this size."""
        core: Any = kernels.core()
        layers = [core.Layer(**layer) for layer in self.layers]
        return getattr(core, f"Network{self.bits}")(
            *(kernels.variant(), self.inputs, layers, self.log_softmax, self.risk),
            *(*self.movement(), size, threads),
            **self.options,
        )


def movement_of(task: Task) -> tuple[dict[str, Any], dict[str, Any]]:
    """How w moves: the method and the penalty, as keywords of the core's.

    Raises:
        Obstacle: the kernels do not know them.
    """
    method = task.method
    if type(method) not in METHODS:
        raise Obstacle(f"the method {getattr(method, 'name', type(method).__name__)}")
    return method_of(method), penalty_of(task.penalty, method)


def check_sparse(layers: Sequence[Mapping[str, Any]], penalty: Mapping[str, Any]) -> None:
    """Whether the kernels run such layers on sparse inputs.

    Raises:
        Obstacle: they do not; it says why.
    """
    if len(layers) != 1 or layers[0]["kind"] != "dense":
        raise Obstacle("sparse inputs in networks of more than one layer")
    if layers[0]["activation"] != "identity":
        raise Obstacle("sparse inputs with an activation")
    if "norm" in penalty:
        raise Obstacle("the penalty L2 on sparse inputs: a step takes the norm of all w")


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


def remembered_first(method: Method) -> Callable[[Any], Any] | None:
    """What a method remembers first of where w begins, where that is neither w nor 0."""
    if isinstance(method, methods.Proximal):
        method = method.method
    match method:
        case methods.Adagrad() if method.initial_accumulator_value:
            return lambda w: 0 * w + method.initial_accumulator_value
        case methods.FTRL():
            return method.first_z
    return None


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
    if any(map(is_tensor, numbers.values())):
        raise Obstacle(f"{type(penalty).__name__} with strength a tensor")
    return {**numbers, "proximal": is_proximal}
