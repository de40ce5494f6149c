"""What the targets are where the model or the loss is the user's own, and takes them as they are.

A net of ours has an output for each class that there is, whatever classes are called. A module of
the user's has as many as it has, and a loss of theirs sees what they gave: the class 2 is the
number 2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gradus.data.targets import CLASS_LOSSES, MOST_CLASSES, NUMBER_LOSSES, Targets, class_targets
from gradus.errors import InputError
from gradus.risk.sparse import rows_at


def own_targets(
    y: NDArray[Any],
    loss: str | None,
    *,
    own_loss: bool,
    outputs: int | None,
    one_logit: bool = False,
) -> Targets | None:
    """Targets as they are given; None where they are read as usual.

    Integers from 0 on are classes where the model has more than one output, or is one of ours and
    few values differ. Zeros and ones are classes too where a loss takes one logit for them. All
    other numbers are numbers to predict.

    Args:
        y: ``[N]`` or ``[N, m]``.
        loss: the name of the loss, where it has one.
        own_loss: whether the loss is the user's.
        outputs: of the user's module; None where it is not known.
        one_logit: whether the loss is one of two classes, of which it takes one output.

    Raises:
        InputError: the model has too few outputs for the classes.

    Example:
        >>> own_targets(np.array([0, 2, 2]), None, own_loss=True, outputs=4).classes
        ('0', '1', '2', '3')
        >>> own_targets(np.array([-1, 1]), None, own_loss=True, outputs=1).y.tolist()
        [[-1.0], [1.0]]
    """
    if one_logit and outputs == 1 and y.size == len(y) and bool(np.isin(y, (0, 1)).all()):
        labels = torch.from_numpy(y.reshape(-1).astype(np.int64))
        names = ("false", "true") if y.dtype.kind == "b" else ("0", "1")
        return class_targets(labels, names, None, "y")
    if y.dtype.kind == "b" and outputs == 1:  # which a module with one output takes for 0 and 1
        y = y.astype(np.int64)
    if y.dtype.kind not in "iuf" or loss in NUMBER_LOSSES or 0 in y.shape:
        return None
    numbers = None if loss in CLASS_LOSSES else _numbers(y)
    if y.dtype.kind == "f":
        alone = outputs == 1 and loss is None
        return numbers if own_loss or alone else None
    if y.ndim != 1 or y.min() < 0 or outputs == 1:
        return numbers if own_loss or outputs == 1 else None
    most = int(y.max())
    if outputs is None and loss is None and len(np.unique(y)) > MOST_CLASSES:
        return None
    if outputs is not None and most >= outputs:
        raise InputError(
            f"data: y holds the class {most}, and the model gives {outputs} outputs, for the "
            f"classes 0 to {outputs - 1}"
        )
    classes = tuple(map(str, range(outputs or most + 1)))
    return class_targets(torch.from_numpy(y.astype(np.int64)), classes, loss, "y")


def outputs_of(make: Callable[[], nn.Module], x: NDArray[Any] | Tensor) -> int | None:
    """How many outputs a module gives for an example; None where it cannot be told here.

    What is wrong with it is found, and said, once the data are ready.
    """
    output = None
    if not isinstance(x, Tensor) and x.dtype.kind in "iu" and x.dtype != np.uint8:
        output = _output_of(make, torch.from_numpy(x[:2].astype(np.int64)))
    if output is None:
        some = rows_at(x, slice(2)) if isinstance(x, Tensor) else torch.tensor(x[:2])
        some = some.float()
        output = _output_of(make, some / 255 if x.dtype == np.uint8 else some)
    return output.shape[1] if output is not None and output.ndim == 2 else None


def takes_integers(make: Callable[[], nn.Module], x: NDArray[Any]) -> bool:
    """Whether a module takes integers, as one with an embedding does, and a linear layer does not.

    Example:
        >>> tokens = np.array([[0, 2], [1, 1]])
        >>> takes_integers(lambda: nn.Embedding(3, 4), tokens)
        True
        >>> takes_integers(lambda: nn.Linear(2, 4), tokens)
        False

    Of one with an embedding that does not take these, what is wrong with them is said later.
    """
    if _output_of(make, torch.from_numpy(x[:2].astype(np.int64))) is not None:
        return True
    try:
        with torch.random.fork_rng():
            modules = list(make().modules())
    except InputError:  # said of a factory once the data are ready
        return False
    return any(isinstance(each, nn.Embedding | nn.EmbeddingBag) for each in modules)


def _output_of(make: Callable[[], nn.Module], some: Tensor) -> Tensor | None:
    """What a module gives for some examples; None where it does not take them."""
    try:
        with torch.random.fork_rng(), torch.no_grad():
            output = make().float().eval()(some)
    except Exception:
        return None
    return output if isinstance(output, Tensor) else None


def _numbers(y: NDArray[Any]) -> Targets:
    values = torch.from_numpy(y.astype(np.float64))
    return Targets(values[:, None] if values.ndim == 1 else values, None, None)
