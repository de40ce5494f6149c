"""The kernels' linear model on inputs that are mostly zeros, called as their networks are.

A step costs the non-zeros of its batch: what the other weights would have done in it (weight decay,
momentum, proximal steps) is made up for when they are touched again. Where that cannot be, as in
Adam, a step moves all of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradus import kernels
from gradus.data.dataset import Dataset
from gradus.engine import dense
from gradus.engine.activations import IDENTITY
from gradus.engine.job import Job
from gradus.engine.layers import Network
from gradus.optim.rules import Obstacle

Arrays = NDArray[Any]
KEPT = "sparse."
"""What the names begin with under which it keeps where it stands."""


def check(job: Job, network: Network) -> None:
    """Whether the kernels run the job, whose examples are sparse and which they run on others.

    Raises:
        Obstacle: they do not; it says why.
    """
    if not (job.train.is_sparse and job.test.is_sparse):
        raise Obstacle("sparse inputs beside others")
    if len(network.layers) != 1 or network.layers[0].kind != "dense":
        raise Obstacle("sparse inputs in networks of more than one layer")
    layer = network.layers[0]
    if layer.activation != IDENTITY:
        raise Obstacle("sparse inputs with an activation")
    if any(each is not None and not each.requires_grad for each in layer.parameters):
        raise Obstacle("sparse inputs with frozen parameters")
    if job.precision == "bf16":
        raise Obstacle("sparse inputs in bfloat16")
    if "norm" in dense.penalty_of(job.penalty, job.method):
        raise Obstacle("the penalty L2 on sparse inputs: a step takes the norm of all w")


class Linear:
    """A linear model in training, with the methods of the core's ``Network``; its layer is 0."""

    threads = 1

    def __init__(self, job: Job, network: Network, train: Dataset, options: dict[str, Any]) -> None:
        core: Any = kernels.core()
        self.bits = 32 if job.dtype == torch.float32 else 64
        (layer,) = network.layers
        self.core = getattr(core, f"Sparse{self.bits}")(
            kernels.variant(),
            network.inputs,
            layer.outputs,
            layer.parameters[1] is not None,
            network.log_softmax,
            getattr(core, f"Risk{self.bits}")(*dense.loss_of(job.loss, train, layer.outputs)),
            core.Method(**dense.method_of(job.method)),
            core.Penalty(**dense.penalty_of(job.penalty, job.method)),
            torch.get_num_threads(),
            **options,
        )

    def data(self, given: Dataset) -> Any:
        """The examples as the kernels take them."""
        arrays: dict[str, Any] = {
            "features": given.x.shape[1],
            "starts": given.x.crow_indices().numpy(),
            "columns": given.x.col_indices().numpy(),
            "values": given.x.values().numpy(),
        }
        kind = "numbers" if given.y.is_floating_point() else "classes"
        arrays[kind] = given.y.contiguous().numpy()
        if given.weights is not None:
            arrays["weights"] = given.weights.to(given.dtype).contiguous().numpy()
        return getattr(kernels.core(), f"SparseData{self.bits}")(**arrays)

    def set(self, layer: int, weight: Arrays, bias: Arrays | None = None) -> None:
        """Set the parameters, and forget all steps."""
        self.core.set(weight, bias)

    def get(self, layer: int, weight: Arrays, bias: Arrays | None = None) -> None:
        """Write the parameters at the iterate into these arrays."""
        self.core.get(weight, bias)

    @property
    def columns(self) -> int:
        """How many numbers belong to a parameter: itself, and what the method remembers."""
        return int(self.core.columns)

    @property
    def steps(self) -> int:
        """How many steps were taken since the parameters were set."""
        return int(self.core.steps)

    def read(self, layer: int, column: int, weight: Arrays, bias: Arrays | None = None) -> None:
        """Write a column into these arrays."""
        self.core.read(column, weight, bias)

    def write(self, layer: int, column: int, weight: Any, bias: Any = None) -> None:
        """Set a column before the first step."""
        self.core.write(column, weight, bias)

    def run(
        self,
        data: Any,
        order: NDArray[np.int64],
        size: int,
        rates: NDArray[np.float64],
        losses: NDArray[np.float64],
        threads: int = 1,
        **given: Any,
    ) -> None:
        """Take steps, writing down their losses."""
        self.core.run(data, order, size, rates, losses, **given)

    def outputs(self, data: Any, order: NDArray[np.int64], to: Arrays) -> None:
        """Write what the model gives at the iterate for these examples."""
        self.core.outputs(data, order, to)

    def kept(self) -> dict[str, Tensor]:
        """Where it stands, with what is not made up for: what goes on from it does to the bit."""
        kept = self.core.kept().items()
        return {KEPT + name: torch.from_numpy(array) for name, array in kept}

    def go_on(self, tensors: dict[str, Tensor], steps: int) -> None:
        """Stand where another has stood after so many steps."""
        named = {name: value for name, value in tensors.items() if name.startswith(KEPT)}
        self.core.go_on(
            {name.removeprefix(KEPT): value.numpy() for name, value in named.items()}, steps
        )
