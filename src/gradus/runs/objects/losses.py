"""A loss that is handed over as an object: ours, one of PyTorch, or any callable."""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn

from gradus.errors import InputError, reason
from gradus.risk import losses
from gradus.runs.objects.identity import identity_of
from gradus.runs.parts.objective import LOSS_CLASSES

ARGUMENTS = {
    "CrossEntropyLoss": ("weight", "ignore_index", "label_smoothing"),
    "NLLLoss": ("weight", "ignore_index"),
    "MSELoss": (),
    "L1Loss": (),
    "HuberLoss": ("delta",),
    "PinballLoss": ("quantile",),
    "KLDivLoss": ("log_target",),
    "HingeLoss": ("weight", "ignore_index"),
    "ModifiedHuberLoss": ("weight", "ignore_index"),
}
"""What the losses take beside their reduction, here as in ``torch.nn``."""

UNSAID = {"weight": None, "ignore_index": -100, "log_target": False}
"""Of these the options of a run know no other value."""


def loss_of(given: Any) -> tuple[dict[str, Any], losses.Loss | None]:
    """The options that say the loss, where they can; else the loss itself.

    A loss of ``torch.nn`` that is one of ours too, by its equation, is that.

    Raises:
        InputError: it is no loss.

    Example:
        >>> import torch
        >>> loss_of(torch.nn.CrossEntropyLoss(label_smoothing=0.1))
        ({'loss': 'cross-entropy', 'label_smoothing': 0.1}, None)
    """
    kind = type(given)
    if inspect.isclass(given) and issubclass(given, nn.Module):
        raise InputError(f"loss {given.__name__}: is a class; give an object, {given.__name__}()")
    if not callable(given):
        raise InputError(
            f"loss {reason(TypeError(repr(given)))}: give a name, a loss of gradus or torch.nn, or "
            "a callable (output, target) -> scalar"
        )
    if getattr(given, "reduction", None) == "sum":
        raise InputError(
            f"loss {kind.__name__}: reduction=sum adds up what examples give, so that parts and "
            "batches of other sizes could not be compared; give reduction=mean, and a larger lr"
        )
    name = kind.__name__
    is_theirs = name in ARGUMENTS and kind is getattr(nn, name, None)
    if not is_theirs and kind is not getattr(losses, name, None):
        return {}, losses.OwnLoss(given, identity_of(given).name)
    arguments = {each: getattr(given, each) for each in ARGUMENTS[name]}
    # A risk is a mean of what examples give, however these are handed out.
    reduction = "mean" if given.reduction == "none" else given.reduction
    usual = "batchmean" if name == "KLDivLoss" else "mean"
    if (
        name in _NAMES
        and reduction == usual
        and all(
            arguments.get(each, value) is value or arguments[each] == value
            for each, value in UNSAID.items()
        )
    ):
        said = {each: value for each, value in arguments.items() if each not in UNSAID}
        return {"loss": _NAMES[name], **said}, None
    made: losses.Loss = getattr(losses, name)(**arguments, reduction=reduction)
    return {}, made


_NAMES = {class_name: name for name, class_name in LOSS_CLASSES.items()}
