"""What the options of a parameter group say: which are allowed, and how their numbers are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

from torch import Tensor

FORMS = ("foreach", "fused", "differentiable")
"""The options that say how a step is carried out, of which one may be True."""
OPTIONAL_FLAGS = ("foreach", "fused")
"""The flags that may be None."""
FLAGS = (
    *FORMS,
    "capturable",
    "maximize",
    "nesterov",
    "amsgrad",
    "centered",
    "decoupled_weight_decay",
)
"""The options that are True or False."""


def check_options(
    group: Mapping[str, Any], flags: Iterable[str], hyperparameters: Iterable[str]
) -> None:
    """Refuse flags that are none or contradict each other, and tensors of several numbers.

    Raises:
        TypeError: a flag is neither True nor False.
        RuntimeError: two forms of a step are asked for.
        ValueError: a hyper-parameter is a tensor of several numbers.
    """
    for name in flags:
        flag = group[name]
        if not isinstance(flag, bool) and not (flag is None and name in OPTIONAL_FLAGS):
            allowed = "True, False or None" if name in OPTIONAL_FLAGS else "True or False"
            raise TypeError(f"{name} must be {allowed}, not {flag!r}")
    forms = [form for form in FORMS if group[form]]
    if len(forms) > 1:
        raise RuntimeError(
            f"`{forms[0]}` and `{forms[1]}` cannot be True together: a step is carried out in "
            "one way"
        )
    for name in hyperparameters:
        for value in group[name] if isinstance(group[name], tuple | list) else [group[name]]:
            if isinstance(value, Tensor) and value.numel() != 1:
                shape = tuple(value.shape)
                raise ValueError(f"Tensor {name} must be 1-element, but its shape is {shape}")


def has_tensor(option: Any) -> bool:
    """Whether an option is a tensor, or a pair with a tensor in it."""
    if isinstance(option, tuple | list):
        return any(map(has_tensor, option))
    return isinstance(option, Tensor)


def is_immutable(option: Any) -> bool:
    """Whether an option says the same as long as it is the same object."""
    if isinstance(option, tuple):
        return all(map(is_immutable, option))
    return option is None or isinstance(option, Real)


def as_number(option: Any) -> Any:
    """An option as a number: a tensor is read."""
    if isinstance(option, tuple | list):
        return tuple(map(as_number, option))
    return option.item() if isinstance(option, Tensor) else option


def as_scalar(option: Any) -> Any:
    """An option as it is, a tensor as 0-d."""
    if isinstance(option, tuple | list):
        return tuple(map(as_scalar, option))
    return option.reshape(()) if isinstance(option, Tensor) else option
