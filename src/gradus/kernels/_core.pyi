from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

def built() -> list[str]:
    """Which variants of the kernels were compiled, the fastest first."""

def runnable() -> list[str]:
    """Which of them this processor runs, the fastest first."""

def multiplies_bfloat16(variant: str) -> bool:
    """Whether kernels that take products in bfloat16 stand beside these, and run here."""

def map(name: str, x: NDArray[Any], variant: str) -> NDArray[Any]:  # noqa: A001
    """An elementary function of every number of a vector of float32 or float64."""

def activation(
    name: str, numbers: Sequence[float], x: NDArray[Any], variant: str
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The values of an activation, and its slopes, at every number of a vector."""

def scales(
    variant: str, key: int, step: int, layer: int, share: float, row: int, to: NDArray[Any]
) -> None:
    """What dropout multiplies the units of a batch by, from an example on, into ``to``."""

def stream(variant: str, bytes: int, threads: int) -> float:  # noqa: A002
    """Bytes a second that a step moves which does nothing else."""

class Layer:
    """A layer: what it reads (side 0 is the inputs, i + 1 what layer i gives) and does."""

    def __init__(
        self,
        kind: Literal["dense", "sum", "drop", "prelu", "layer-norm", "batch-norm"],
        outputs: int,
        reads: int,
        also: int = -1,
        activation: str = "identity",
        numbers: Sequence[float] = (),
        has_weight: bool = True,
        has_bias: bool = True,
        moves_weight: bool = True,
        moves_bias: bool = True,
        shares_weight: bool = False,
        share: float = 0.0,
        eps: float = 0.0,
        fresh: float = 0.0,
    ) -> None: ...

class Method:
    """By which rule w moves, and its hyper-parameters."""

    def __init__(
        self,
        rule: Literal[
            "descent",
            "polyak",
            "nesterov",
            "sgd",
            "sgd-nesterov",
            "adam",
            "amsgrad",
            "adagrad",
            "rmsprop",
            "rmsprop-momentum",
            "rmsprop-centered",
            "rmsprop-centered-momentum",
            "lion",
            "adamax",
            "adadelta",
            "nadam",
            "radam",
            "adopt",
            "ftrl",
        ],
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        decoupled: bool = False,
        maximize: bool = False,
        beta1: float = 0.0,
        beta2: float = 0.0,
        eps: float = 0.0,
        lr_decay: float = 0.0,
        momentum_decay: float = 0.0,
        l1: float = 0.0,
        l2: float = 0.0,
    ) -> None: ...

class Penalty:
    """absolute * sum |w| + square / 2 * sum w^2 + norm * |w|, by its gradient or proximal step."""

    def __init__(
        self,
        absolute: float = 0.0,
        square: float = 0.0,
        norm: float = 0.0,
        proximal: bool = False,
    ) -> None: ...

class InPlaceUpdate:
    """The update of lists of torch's tensors by a method, rounded as torch rounds it."""

    def __init__(
        self,
        variant: str,
        method: Method,
        rounds_once: bool,
        asks_for_roots: bool,
        exchange: object,
        types: Sequence[object],
    ) -> None: ...
    def apply(
        self,
        rate: float,
        ahead: float,
        step: int,
        threads: int,
        columns: Sequence[list[Tensor]],
        steps: list[Tensor] | None = None,
    ) -> bool:
        """False, and nothing has changed, where the kernels do not take these tensors."""

class Risk32:
    """A loss, and what its mean over a batch divides by."""

    def __init__(
        self,
        loss: Literal[
            "cross-entropy",
            "nll",
            "mse",
            "l1",
            "kl",
            "kl-log",
            "huber",
            "pinball",
            "hinge",
            "modified-huber",
        ],
        mass: Literal["one", "examples", "elements", "class-weights"],
        smoothing: float = 0.0,
        ignored: int = -1,
        class_weights: Sequence[float] = (),
        shape: float = 0.0,
    ) -> None: ...
    def mean(
        self,
        variant: str,
        outputs: NDArray[np.float32],
        classes: NDArray[np.int64] | None = None,
        numbers: NDArray[np.float32] | None = None,
        weights: NDArray[np.float32] | None = None,
    ) -> float:
        """The mean loss of these outputs ``[N, m]``."""

class Data32:
    """Examples: inputs ``[N, features]``, bytes or numbers, and classes or numbers as targets."""

    def __init__(
        self,
        x: NDArray[np.uint8] | NDArray[np.float32],
        classes: NDArray[np.int64] | None = None,
        numbers: NDArray[np.float32] | None = None,
        scale: float = 1.0,
        mean: NDArray[np.float32] | None = None,
        deviation: NDArray[np.float32] | None = None,
        weights: NDArray[np.float32] | None = None,
    ) -> None: ...

class Network32:
    """A network in training."""

    def __init__(
        self,
        variant: str,
        inputs: int,
        layers: Sequence[Layer],
        log_softmax: bool,
        risk: Risk32,
        method: Method,
        penalty: Penalty,
        batch_size: int,
        threads: int,
        clip_norm: float = ...,
        clip_value: float = ...,
        bfloat16: bool = False,
    ) -> None: ...
    @property
    def steps(self) -> int:
        """How many steps were taken since the parameters were set."""
    @steps.setter
    def steps(self, steps: int) -> None: ...
    @property
    def threads(self) -> int:
        """How many threads are worth their while, of those that were given."""
    def set(
        self, layer: int, weight: NDArray[np.float32], bias: NDArray[np.float32] | None = None
    ) -> None:
        """Set the parameters of a layer, and forget all steps; a norm's weights are a column."""
    def get(
        self, layer: int, weight: NDArray[np.float32], bias: NDArray[np.float32] | None = None
    ) -> None:
        """Write the parameters at the iterate into these arrays."""
    @property
    def columns(self) -> int:
        """How many numbers belong to a parameter: itself, and what the method remembers."""
    def read(
        self,
        layer: int,
        column: int,
        weight: NDArray[np.float32],
        bias: NDArray[np.float32] | None = None,
    ) -> None:
        """Write a column into these arrays."""
    def write(
        self,
        layer: int,
        column: int,
        weight: NDArray[np.float32],
        bias: NDArray[np.float32] | None = None,
    ) -> None:
        """Set a column, as another network held it."""
    def set_running(
        self,
        layer: int,
        mean: NDArray[np.float32],
        variance: NDArray[np.float32],
        batches: int,
    ) -> None:
        """Set the running statistics of a batch norm, and of how many batches they are."""
    def get_running(
        self, layer: int, mean: NDArray[np.float32], variance: NDArray[np.float32]
    ) -> int:
        """Write them into these arrays, and tell of how many batches they are."""
    def draw_by(self, key: int) -> None:
        """What dropout draws follows from this key, the step and the layer."""
    def run(
        self,
        data: Data32,
        order: NDArray[np.int64],
        batch_size: int,
        rates: NDArray[np.float64],
        losses: NDArray[np.float64],
        aheads: NDArray[np.float64] | None = None,
        wanted: NDArray[np.bool_] | None = None,
        losses_at_iterate: NDArray[np.float64] | None = None,
        threads: int = ...,
    ) -> int:
        """Take steps, writing down their losses; how many were taken until one was not finite."""
    def outputs(self, data: Data32, order: NDArray[np.int64], to: NDArray[np.float32]) -> None:
        """Write the outputs of the last layer at the iterate, for these examples."""
    def timings(self) -> dict[str, float]:
        """Seconds that the first thread spent in each kind of work."""

class Risk64:
    """A loss, and what its mean over a batch divides by."""

    def __init__(
        self,
        loss: Literal[
            "cross-entropy",
            "nll",
            "mse",
            "l1",
            "kl",
            "kl-log",
            "huber",
            "pinball",
            "hinge",
            "modified-huber",
        ],
        mass: Literal["one", "examples", "elements", "class-weights"],
        smoothing: float = 0.0,
        ignored: int = -1,
        class_weights: Sequence[float] = (),
        shape: float = 0.0,
    ) -> None: ...
    def mean(
        self,
        variant: str,
        outputs: NDArray[np.float64],
        classes: NDArray[np.int64] | None = None,
        numbers: NDArray[np.float64] | None = None,
        weights: NDArray[np.float64] | None = None,
    ) -> float:
        """The mean loss of these outputs ``[N, m]``."""

class Data64:
    """Examples: inputs ``[N, features]``, bytes or numbers, and classes or numbers as targets."""

    def __init__(
        self,
        x: NDArray[np.uint8] | NDArray[np.float64],
        classes: NDArray[np.int64] | None = None,
        numbers: NDArray[np.float64] | None = None,
        scale: float = 1.0,
        mean: NDArray[np.float64] | None = None,
        deviation: NDArray[np.float64] | None = None,
        weights: NDArray[np.float64] | None = None,
    ) -> None: ...

class Network64:
    """A network in training."""

    def __init__(
        self,
        variant: str,
        inputs: int,
        layers: Sequence[Layer],
        log_softmax: bool,
        risk: Risk64,
        method: Method,
        penalty: Penalty,
        batch_size: int,
        threads: int,
        clip_norm: float = ...,
        clip_value: float = ...,
        bfloat16: bool = False,
    ) -> None: ...
    @property
    def steps(self) -> int:
        """How many steps were taken since the parameters were set."""
    @steps.setter
    def steps(self, steps: int) -> None: ...
    @property
    def threads(self) -> int:
        """How many threads are worth their while, of those that were given."""
    def set(
        self, layer: int, weight: NDArray[np.float64], bias: NDArray[np.float64] | None = None
    ) -> None:
        """Set the parameters of a layer, and forget all steps; a norm's weights are a column."""
    def get(
        self, layer: int, weight: NDArray[np.float64], bias: NDArray[np.float64] | None = None
    ) -> None:
        """Write the parameters at the iterate into these arrays."""
    @property
    def columns(self) -> int:
        """How many numbers belong to a parameter: itself, and what the method remembers."""
    def read(
        self,
        layer: int,
        column: int,
        weight: NDArray[np.float64],
        bias: NDArray[np.float64] | None = None,
    ) -> None:
        """Write a column into these arrays."""
    def write(
        self,
        layer: int,
        column: int,
        weight: NDArray[np.float64],
        bias: NDArray[np.float64] | None = None,
    ) -> None:
        """Set a column, as another network held it."""
    def set_running(
        self,
        layer: int,
        mean: NDArray[np.float64],
        variance: NDArray[np.float64],
        batches: int,
    ) -> None:
        """Set the running statistics of a batch norm, and of how many batches they are."""
    def get_running(
        self, layer: int, mean: NDArray[np.float64], variance: NDArray[np.float64]
    ) -> int:
        """Write them into these arrays, and tell of how many batches they are."""
    def draw_by(self, key: int) -> None:
        """What dropout draws follows from this key, the step and the layer."""
    def run(
        self,
        data: Data64,
        order: NDArray[np.int64],
        batch_size: int,
        rates: NDArray[np.float64],
        losses: NDArray[np.float64],
        aheads: NDArray[np.float64] | None = None,
        wanted: NDArray[np.bool_] | None = None,
        losses_at_iterate: NDArray[np.float64] | None = None,
        threads: int = ...,
    ) -> int:
        """Take steps, writing down their losses; how many were taken until one was not finite."""
    def outputs(self, data: Data64, order: NDArray[np.int64], to: NDArray[np.float64]) -> None:
        """Write the outputs of the last layer at the iterate, for these examples."""
    def timings(self) -> dict[str, float]:
        """Seconds that the first thread spent in each kind of work."""

class SparseData32:
    """Examples of which only what is not zero is kept: columns, ascending in a row, and values."""

    def __init__(
        self,
        features: int,
        starts: NDArray[np.int64],
        columns: NDArray[np.int32],
        values: NDArray[np.float32],
        classes: NDArray[np.int64] | None = None,
        numbers: NDArray[np.float32] | None = None,
        weights: NDArray[np.float32] | None = None,
    ) -> None: ...

class Sparse32:
    """A linear model in training on such examples."""

    def __init__(
        self,
        variant: str,
        features: int,
        outputs: int,
        has_bias: bool,
        log_softmax: bool,
        risk: Risk32,
        method: Method,
        penalty: Penalty,
        threads: int,
        clip_norm: float = ...,
        clip_value: float = ...,
    ) -> None: ...
    @property
    def steps(self) -> int:
        """How many steps were taken since the parameters were set."""
    @property
    def columns(self) -> int:
        """How many numbers belong to a parameter: itself, and what the method remembers."""
    def set(self, weight: NDArray[np.float32], bias: NDArray[np.float32] | None = None) -> None:
        """Set the parameters, and forget all steps."""
    def get(self, weight: NDArray[np.float32], bias: NDArray[np.float32] | None = None) -> None:
        """Write the parameters at the iterate into these arrays."""
    def read(
        self,
        column: int,
        weight: NDArray[np.float32],
        bias: NDArray[np.float32] | None = None,
    ) -> None:
        """Write a column into these arrays, with all steps made up for."""
    def write(
        self,
        column: int,
        weight: NDArray[np.float32],
        bias: NDArray[np.float32] | None = None,
    ) -> None:
        """Set a column before the first step."""
    def kept(self) -> dict[str, NDArray[Any]]:
        """Everything as it is kept, with what was not made up for yet."""
    def go_on(self, kept: dict[str, NDArray[Any]], steps: int) -> None:
        """Stand where another stood after so many steps."""
    def run(
        self,
        data: SparseData32,
        order: NDArray[np.int64],
        batch_size: int,
        rates: NDArray[np.float64],
        losses: NDArray[np.float64],
        aheads: NDArray[np.float64] | None = None,
        wanted: NDArray[np.bool_] | None = None,
        losses_at_iterate: NDArray[np.float64] | None = None,
    ) -> int:
        """Take steps, writing down their losses; how many were taken until one was not finite."""
    def outputs(
        self, data: SparseData32, order: NDArray[np.int64], to: NDArray[np.float32]
    ) -> None:
        """Write what the model gives at the iterate, for these examples."""

class SparseData64:
    """Examples of which only what is not zero is kept: columns, ascending in a row, and values."""

    def __init__(
        self,
        features: int,
        starts: NDArray[np.int64],
        columns: NDArray[np.int32],
        values: NDArray[np.float64],
        classes: NDArray[np.int64] | None = None,
        numbers: NDArray[np.float64] | None = None,
        weights: NDArray[np.float64] | None = None,
    ) -> None: ...

class Sparse64:
    """A linear model in training on such examples."""

    def __init__(
        self,
        variant: str,
        features: int,
        outputs: int,
        has_bias: bool,
        log_softmax: bool,
        risk: Risk64,
        method: Method,
        penalty: Penalty,
        threads: int,
        clip_norm: float = ...,
        clip_value: float = ...,
    ) -> None: ...
    @property
    def steps(self) -> int:
        """How many steps were taken since the parameters were set."""
    @property
    def columns(self) -> int:
        """How many numbers belong to a parameter: itself, and what the method remembers."""
    def set(self, weight: NDArray[np.float64], bias: NDArray[np.float64] | None = None) -> None:
        """Set the parameters, and forget all steps."""
    def get(self, weight: NDArray[np.float64], bias: NDArray[np.float64] | None = None) -> None:
        """Write the parameters at the iterate into these arrays."""
    def read(
        self,
        column: int,
        weight: NDArray[np.float64],
        bias: NDArray[np.float64] | None = None,
    ) -> None:
        """Write a column into these arrays, with all steps made up for."""
    def write(
        self,
        column: int,
        weight: NDArray[np.float64],
        bias: NDArray[np.float64] | None = None,
    ) -> None:
        """Set a column before the first step."""
    def kept(self) -> dict[str, NDArray[Any]]:
        """Everything as it is kept, with what was not made up for yet."""
    def go_on(self, kept: dict[str, NDArray[Any]], steps: int) -> None:
        """Stand where another stood after so many steps."""
    def run(
        self,
        data: SparseData64,
        order: NDArray[np.int64],
        batch_size: int,
        rates: NDArray[np.float64],
        losses: NDArray[np.float64],
        aheads: NDArray[np.float64] | None = None,
        wanted: NDArray[np.bool_] | None = None,
        losses_at_iterate: NDArray[np.float64] | None = None,
    ) -> int:
        """Take steps, writing down their losses; how many were taken until one was not finite."""
    def outputs(
        self, data: SparseData64, order: NDArray[np.int64], to: NDArray[np.float64]
    ) -> None:
        """Write what the model gives at the iterate, for these examples."""
