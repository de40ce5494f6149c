"""A model that is handed over as an object: a module, or what makes one."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from gradus.errors import InputError, quoted
from gradus.models.networks import check_parameters
from gradus.models.own import told
from gradus.runs.objects.identity import identity_of

Maker = Callable[[Sequence[int], int], nn.Module]
"""Makes a new model of an input's shape and the number of outputs, each time it is called."""


def maker_of(given: Any) -> Maker:
    """What makes the model that was handed over.

    A module is copied: the one that is given stays as it is. A factory is called with those of the
    keywords ``input_shape`` and ``outputs`` that it has parameters for.

    Raises:
        InputError: it is neither, or has parameters that cannot be moved.

    Example:
        >>> import torch
        >>> net = torch.nn.Linear(2, 1)
        >>> made = maker_of(net)((2,), 1)
        >>> made is net, torch.equal(made.weight, net.weight)
        (False, True)
    """
    if isinstance(given, nn.Module):
        check_parameters(given, f"model {type(given).__name__}")
        return lambda input_shape, outputs: _copied(given)
    if not callable(given):
        raise InputError(
            f"model {quoted(given)}: give a name, a torch.nn.Module, or a function that makes one"
        )

    def make(input_shape: Sequence[int], outputs: int) -> nn.Module:
        name = identity_of(given).name
        keywords = {"input_shape": tuple(input_shape), "outputs": outputs}
        try:
            wanted = inspect.signature(given).parameters
            made = given(**{name: each for name, each in keywords.items() if name in wanted})
        except Exception as error:
            raise InputError(f"model {name}: the factory failed: {told(error)}") from error
        if not isinstance(made, nn.Module):
            raise InputError(
                f"model {name}: the factory gave a {type(made).__name__}, not a torch.nn.Module"
            )
        check_parameters(made, f"model {name}")
        return made

    return make


def check_modes(module: Any) -> None:
    """Refuse a module to train that has no numbers, or parts in ``eval`` mode, which would be lost.

    Raises:
        InputError: it is one.
    """
    if not isinstance(module, nn.Module):
        return
    meta = next((name for name, each in module.named_parameters() if each.is_meta), None)
    if meta is not None:
        raise InputError(
            f"model {type(module).__name__}: {meta} is on the meta device, where there are no "
            "numbers; make it on another, or call to_empty(device='cpu') and initialise it"
        )
    resting = [name for name, part in module.named_modules() if not part.training]
    if module.training and resting:
        kind = type(module.get_submodule(resting[0])).__name__
        raise InputError(
            f"model {type(module).__name__}: its part {resting[0]} ({kind}) is in eval mode, and a "
            "run trains every part in train mode; call train() of the model, or give that part a "
            "train() of its own that leaves it as it is"
        )


def _copied(module: nn.Module) -> nn.Module:
    try:
        copied = copy.deepcopy(module)
    except Exception as error:
        raise InputError(
            f"model {type(module).__name__}: cannot be copied ({told(error)}), and the one that is "
            "given is not trained itself; give a function that makes one"
        ) from error
    return copied
