"""A loss of the user's own: any callable of outputs and targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from torch import Tensor, nn

from gradus.errors import OwnCodeError, reason
from gradus.risk.losses.loss import Loss, Terms

OF_EACH_OUTPUT = {
    "MultiLabelSoftMarginLoss": "a zero or a one",
    "MultiLabelMarginLoss": "the number of a class, or -1,",
    "BCEWithLogitsLoss": "a zero or a one",
    "BCELoss": "a zero or a one",
    "SoftMarginLoss": "a one or a minus one",
    "PoissonNLLLoss": "a number",
}
"""Losses of PyTorch that take as many targets as there are outputs, and what each is."""


@final
class OwnLoss(Loss):
    r"""$L(z, y)$ by any callable ``(output, target) -> scalar``, a mean over the examples.

    What it gives for a batch of B examples counts B times in a mean over several batches. A module
    with ``reduction="sum"`` counts once. One with ``reduction="none"`` gives values of the examples
    ``[B, ...]``, of which the mean is taken: so it is known what each example adds.

    ``torch.nn.BCEWithLogitsLoss`` takes classes 0 and 1 too, ``[B]``, beside outputs ``[B, 1]``.

    Args:
        function: a function, or a module such as those of ``torch.nn``.
        name: of it, for messages.

    Example:
        >>> import torch
        >>> loss = OwnLoss(lambda output, target: (output - target).abs().max(), "largest")
        >>> loss(torch.tensor([1.0, 5.0]), torch.tensor([0.0, 0.0]))
        tensor(5.)
    """

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], name: str) -> None:
        reduction = str(getattr(function, "reduction", "mean"))
        super().__init__(None, None, "sum" if reduction == "sum" else "mean")
        self.function, self.name = function, name  # the tensors of a module move with this one
        self.is_of_examples = reduction == "none"
        self.is_of_one_logit = type(function) is nn.BCEWithLogitsLoss

    def terms(self, input: Tensor, target: Tensor) -> Terms:  # noqa: A002
        """Return what the examples add to the sum, and their number.

        Where only their mean is known that is one value for the whole batch.
        """
        if self.is_of_examples:
            values = self._values(input, target)
            return Terms(values, float(values.numel()))
        value = self(input, target)[None]
        return Terms(value if self.reduction == "sum" else value * len(input), float(len(input)))

    def forward(self, input: Tensor, target: Tensor) -> Tensor:  # noqa: A002
        """Return what the callable gives, or the mean of it.

        Raises:
            OwnCodeError: it fails, or gives something else than one number; or, where it is one of
                examples, than one for each.
        """
        values = self._values(input, target)
        return values.mean() if self.is_of_examples else values

    def _values(self, input: Tensor, target: Tensor) -> Tensor:  # noqa: A002
        are_classes = not target.is_floating_point() and target.dim() == 1
        if self.is_of_one_logit and are_classes and input.shape[1:] == (1,):
            target = target[:, None].to(input.dtype)
        try:
            value = self.function(input, target)
        except Exception as error:
            if are_classes and (right := OF_EACH_OUTPUT.get(type(self.function).__name__)):
                raise OwnCodeError(
                    f"--loss {self.name}: takes {right} for each of the outputs, y of shape "
                    f"{['N', *input.shape[1:]]}, and y is of shape ['N']; for one class an example "
                    "give torch.nn.CrossEntropyLoss()".replace("'N'", "N")
                ) from error
            if type(self.function) is nn.BCELoss and "between 0 and 1" in str(error):
                raise OwnCodeError(
                    f"--loss {self.name}: takes probabilities, and the model gives others; let it "
                    "end in torch.nn.Sigmoid(), or give torch.nn.BCEWithLogitsLoss()"
                ) from error
            raise OwnCodeError(
                f"--loss {self.name}: fails on an output of shape {list(input.shape)} and a target "
                f"of shape {list(target.shape)}, {_kind(target)}: {reason(error)}"
            ) from error
        if not isinstance(value, Tensor):
            raise OwnCodeError(
                f"--loss {self.name}: gives a {type(value).__name__}, not a tensor of one number"
            )
        if self.is_of_examples and value.shape[:1] != input.shape[:1]:
            raise OwnCodeError(
                f'--loss {self.name}: has reduction="none" and gives shape {list(value.shape)}, '
                f"but must give values for each of the {len(input)} examples"
            )
        if not self.is_of_examples and value.dim() != 0:
            raise OwnCodeError(
                f"--loss {self.name}: gives shape {list(value.shape)}, but must give one number: a "
                'mean over the examples, as by .mean() or reduction="mean"'
            )
        return value


def takes_one_logit(loss: Loss) -> bool:
    """Whether a loss of two classes takes one output, the logit of the second."""
    return isinstance(loss, OwnLoss) and loss.is_of_one_logit


def _kind(target: Tensor) -> str:
    return str(target.dtype).removeprefix("torch.")
