"""How the mean loss over data is added up from chunks of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from gradus.risk.losses import Loss, mean
from gradus.risk.precision import is_narrow, sum_dtype, total, wide

Mass = Tensor | float
"""What a chunk adds to the divisor of the mean; of a loss that is a sum, 0."""


def summed(
    loss: Callable[[Tensor, Tensor], Tensor], output: Tensor, y: Tensor
) -> tuple[Tensor, Mass]:
    """The loss of a chunk added up, and what the chunk adds to the divisor of the mean.

    The sum is of float32 at least.

    Raises:
        ValueError: a torch.nn loss weights or ignores targets: its mean does not say by what it
            was divided.
    """
    if isinstance(loss, Loss):
        values, mass = loss.terms(output, y)
        return total(values), 0.0 if loss.reduction == "sum" else mass
    if getattr(loss, "reduction", "mean") == "sum":
        return wide(scalar(loss(output, y))), 0.0
    if (
        isinstance(loss, nn.CrossEntropyLoss | nn.NLLLoss)
        and not y.is_floating_point()  # the mean over probabilities divides by their number
        and (loss.weight is not None or bool((y == loss.ignore_index).any()))
    ):
        name = type(loss).__name__
        raise ValueError(
            f"torch.nn.{name} with weighted or ignored targets cannot be averaged over chunks; "
            f"give gradus.{name}, with the same arguments"
        )
    return wide(scalar(loss(output, y))) * len(y), float(len(y))


def reduced(loss: Callable[[Tensor, Tensor], Tensor], output: Tensor, y: Tensor) -> Tensor:
    """The loss of examples that are the only chunk: any loss will do; of float32 at least.

    Raises:
        ValueError: the loss does not give one number.
    """
    if isinstance(loss, Loss) and is_narrow(output.dtype):
        added, mass = summed(loss, output, y)
        return averaged(added, [mass])
    return wide(scalar(loss(output, y)))


def averaged(added: Tensor, masses: Sequence[Mass]) -> Tensor:
    """The sum over all chunks, as the mean over them; a loss that is a sum stays one."""
    mass = sum(masses)
    return added if isinstance(mass, float) and mass == 0 else mean(added, mass)


def scalar(value: Tensor) -> Tensor:
    """Refuse a loss that is not one number."""
    if value.dim() != 0:
        raise ValueError(f"a loss must give one number, but it gave shape {tuple(value.shape)}")
    return value


def share(masses: Sequence[Mass], like: Tensor) -> Mass:
    """The factor that makes a sum over all chunks their mean; 1 for a loss that is a sum."""
    mass = sum(masses)
    one = like.new_ones((), dtype=sum_dtype(like.dtype), requires_grad=False)
    return 1.0 if isinstance(mass, float) and mass == 0 else mean(one, mass)
