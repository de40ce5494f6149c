r"""One run by several processes: what the eager engine does otherwise then.

Each of k processes evaluates a share $S_j$ of the examples of every batch S, consecutive rows of
it; the sums are added up, and every process takes the same step:

$$g = \frac{\sum_j \sum_{i \in S_j} \nabla L_i(w)}{\sum_j m(S_j)} + \nabla \lambda\,\Omega(w)$$

m is what the loss divides its mean by. But for the rounding of these sums the run is that of one
process. That equation stands in :mod:`gradus.risk.together`.

With ``average_every`` H > 1 no gradient is exchanged. Each process takes steps by the gradient of
its own share, and after every H of them, and at the end of an epoch, they meet in their mean:

$$w^j_{t+1} = \mathrm{step}\big(w^j_t, \nabla f_{S_j}(w^j_t)\big), \qquad
  w^j_t \leftarrow \frac{1}{k} \sum_{l=1}^{k} w^l_t \quad \text{where } H \mid t$$

What the method remembers (a momentum, a mean of squares) is averaged with w.

Source: Zinkevich, Weimer, Li, Smola (2010), "Parallelized stochastic gradient descent"; Stich
    (2019), "Local SGD converges fast and communicates little", algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor, nn

from gradus.data.dataset import Dataset
from gradus.data.sampling import Sampling
from gradus.data.streaming.order import StreamOrder
from gradus.engine.evaluate import Outputs
from gradus.engine.job import Job
from gradus.errors import InputError
from gradus.risk.tensors import Tensors
from gradus.risk.together import Together, share

if TYPE_CHECKING:
    from gradus.engine.iteration import Iteration
    from gradus.engine.moving_average import MovingAverage

LOCAL = "--average-every"


@final
@dataclass(frozen=True)
class Apart:
    """The processes between two meetings: each has its share, and nothing is added up."""

    together: Together

    @property
    def rank(self) -> int:
        """Which of them this one is."""
        return self.together.rank

    @property
    def size(self) -> int:
        """How many there are."""
        return self.together.size

    def added(self, values: Tensor) -> Tensor:
        """What this one gives."""
        return values


def check(job: Job) -> None:
    """Refuse a job that several processes do not train together.

    Raises:
        InputError: it is such.
    """
    if job.together is None:
        if job.average_every > 1:
            raise InputError(
                f"{LOCAL} {job.average_every}: is for several processes; give --processes too"
            )
        return
    from gradus.methods.second_order import SecondOrder

    asked = f"--processes {job.together.size}"
    if isinstance(job.method, SecondOrder):
        raise InputError(
            f"{asked}: is for first-order methods: those that use curvature train in one process"
        )
    if isinstance(job.sampling, StreamOrder):
        raise InputError(
            f"{asked}: rows that are read as they train are not cut into shares yet: train in one "
            "process, or without --stream"
        )
    if type(job.sampling) is not Sampling:
        raise InputError(
            f"{asked}: the batches of a loader are its own, and not cut into shares; give the data "
            "that it loads"
        )


def remark(job: Job) -> str | None:
    """What several processes cannot do as one would, in one line; None where there is nothing."""
    norms = nn.modules.batchnorm._BatchNorm
    if job.together is None or not any(isinstance(each, norms) for each in job.model.modules()):
        return None
    return (
        "batch normalisation takes its means over each process's share of a batch, so the run "
        "differs from that of one process"
    )


def sharing(outputs: Outputs, together: Together) -> Outputs:
    """The outputs of a model, of which each process computes a share."""

    def shared(data: Dataset, at: slice) -> Tensor:
        rows = share(at.stop - at.start, together)
        some = max(rows.stop, rows.start + 1)  # one row tells what an output is
        own = outputs(data, slice(at.start + rows.start, at.start + some))
        given = own.new_zeros(at.stop - at.start, *own.shape[1:])
        given[rows] = own[: rows.stop - rows.start]
        return together.added(given)

    return shared


def mean(values: Sequence[Tensor], together: Together) -> list[Tensor]:
    """The means of tensors over the processes."""
    if not values:
        return []
    flat = together.added(torch.cat([value.reshape(-1) for value in values])) / together.size
    parts = flat.split([value.numel() for value in values])
    return [new.view_as(old).to(old.dtype) for new, old in zip(parts, values, strict=True)]


@torch.no_grad()
def take_buffers_of_first(model: nn.Module, together: Together) -> None:
    """Running statistics, which each process has of its own shares, become those of process 0."""
    for buffer in model.buffers():
        if buffer.is_floating_point():
            given = buffer.clone() if together.rank == 0 else torch.zeros_like(buffer)
            buffer.copy_(together.added(given))


@torch.no_grad()
def meet(iteration: Iteration, average: MovingAverage | None, together: Together) -> None:
    """Bring w, what the method remembers and the moving average to their means."""
    tensors: dict[str, Tensor] = {}
    form = iteration.serialized(tensors)
    moving = {name: value for name, value in tensors.items() if value.is_floating_point()}
    tensors |= dict(zip(moving, mean(list(moving.values()), together), strict=True))
    iteration.restore(form, tensors)
    if average is not None and average.w is not None:
        average.w = Tensors(mean(average.w.values, together))


def losses_of_all(losses: Tensor, sizes: Sequence[int], together: Together) -> Tensor:
    """The losses of steps that each process took by itself: their means over the examples.

    Args:
        losses: of this process's shares, one a step.
        sizes: examples of the whole batch of each step.
        together: the processes.
    """
    rows = [share(size, together) for size in sizes]
    parts = [(at.stop - at.start) / size for at, size in zip(rows, sizes, strict=True)]
    return together.added(losses * torch.tensor(parts, dtype=losses.dtype, device=losses.device))
