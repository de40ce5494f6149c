"""Which model is trained: linear, a multi-layer perceptron, or the user's own module."""

from __future__ import annotations

import difflib
import inspect
import itertools
import math
from collections.abc import Sequence

from torch import nn
from torch.nn.parameter import is_lazy

from gradus.errors import InputError, quoted
from gradus.models.own import from_here, is_own, own_function, told

SHIPPED = ("linear", "mlp")

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "identity": nn.Identity,
}
"""What may stand between the layers of ``mlp``."""


def linear(input_shape: Sequence[int], outputs: int) -> nn.Sequential:
    r"""$h_w(x) = A x + b$: linear regression, or the logits of softmax regression.

    Example:
        >>> linear((1, 8, 8), 10)[1]
        Linear(in_features=64, out_features=10, bias=True)
    """
    return mlp(input_shape, outputs, hidden=())


def mlp(
    input_shape: Sequence[int],
    outputs: int,
    hidden: Sequence[int],
    activation: str = "relu",
    dropout: float = 0.0,
) -> nn.Sequential:
    r"""$h_w(x) = A_k\,\sigma(\dots \sigma(A_1 x + b_1) \dots) + b_k$.

    The layers are built in the order ``Flatten, Linear, ReLU, ..., Linear``, so that the same
    ``torch.manual_seed`` gives the same parameters as a plain PyTorch script of the same.

    Args:
        input_shape: shape of one input, flattened first.
        outputs: numbers given per example.
        hidden: widths of the hidden layers.
        activation: the name of σ in ``ACTIVATIONS``.
        dropout: the share of the units of every hidden layer that is dropped in training.

    Example:
        >>> sum(p.numel() for p in mlp((1, 28, 28), 10, hidden=(512, 512)).parameters())
        669706
    """
    widths = [math.prod(input_shape), *hidden]
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), ACTIVATIONS[activation]()]
        layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers, nn.Linear(widths[-1], outputs))


def build(
    name: str,
    input_shape: Sequence[int],
    outputs: int,
    *,
    hidden: Sequence[int] = (),
    dropout: float = 0.0,
    log_probabilities: bool = False,
) -> nn.Module:
    """The model of this name.

    Args:
        name: ``linear``, ``mlp``, or ``package.module:factory``.
        input_shape: shape of one input.
        outputs: numbers to be given per example.
        hidden: widths of the hidden layers of ``mlp``.
        dropout: the share of their units that is dropped in training.
        log_probabilities: end the shipped models in a log-softmax, for the losses that take
            log-probabilities (NLL, KL); the user's own module ends as its author made it.

    Raises:
        InputError: the name is unknown, or the factory cannot be found or gives no module.
    """
    if is_own(name):
        return own_model(name, input_shape, outputs)
    if name not in SHIPPED:
        near = difflib.get_close_matches(quoted(name), SHIPPED, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise InputError(
            f"--model {quoted(name)}: unknown{hint}; choose {' | '.join(SHIPPED)}, "
            "or your own as package.module:factory"
        )
    widths = () if name == "linear" else hidden
    model = mlp(input_shape, outputs, widths, dropout=dropout)
    return nn.Sequential(*model, nn.LogSoftmax(dim=1)) if log_probabilities else model


def own_model(name: str, input_shape: Sequence[int], outputs: int) -> nn.Module:
    """The module that the user's factory ``package.module:factory`` makes.

    The factory is looked for in the current folder first, then where Python looks. It is called
    with those of the keywords ``input_shape`` and ``outputs`` that it has parameters for.
    """
    given = {"input_shape": tuple(input_shape), "outputs": outputs}
    shown = quoted(name)
    with from_here():
        factory = own_function(name, "--model")
        try:
            wanted = inspect.signature(factory).parameters
            model = factory(**{key: value for key, value in given.items() if key in wanted})
        except (Exception, SystemExit) as error:
            raise InputError(f"--model {shown}: the factory failed: {told(error)}") from error
    if not isinstance(model, nn.Module):
        raise InputError(
            f"--model {shown}: the factory gave a {type(model).__name__}, not a torch.nn.Module"
        )
    check_parameters(model, f"--model {shown}")
    return model


def check_parameters(model: nn.Module, asked: str) -> None:
    """Refuse a module whose parameters cannot be moved as they say.

    Args:
        model: of the user's.
        asked: begins the message.

    Raises:
        InputError: a parameter has no shape yet, or a hook of its own on its gradient, which
            moves w as a whole and would not call it.
    """
    for name, parameter in model.named_parameters():
        if is_lazy(parameter):
            raise InputError(
                f"{asked}: {name} has no shape before a first batch: call the module once, or give "
                "its layers their number of inputs"
            )
        if parameter._backward_hooks or parameter._post_accumulate_grad_hooks:
            raise InputError(
                f"{asked}: {name} has a hook on its gradient, which would not be called: remove "
                "it; clip_norm, clip_value and freezing are options, and gradus.record keeps the "
                "record of a loop of your own"
            )
