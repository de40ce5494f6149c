"""The losses of outputs that are one number per class: cross entropy and its second half, NLL."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from gradus.risk.losses.loss import Loss, Terms, require_equal_shapes
from gradus.risk.precision import total, wide


@final
class NLLLoss(Loss):
    r"""Negative log-likelihood of the target class.

    $$\ell_n = -w_{y_n} x_{n, y_n} \ (0 \text{ where } y_n = \text{ignore\_index}), \qquad
      \text{mean} = \frac{\sum_n \ell_n}{\sum_{n:\, y_n \ne \text{ignore\_index}} w_{y_n}}$$

    Args:
        weight: what each class counts, [C]; 1 for each where it is not given.
        size_average: deprecated, see ``reduction``.
        ignore_index: targets with this value contribute nothing; it may lie in [0, C) or outside.
        reduce: deprecated, see ``reduction``.
        reduction: "none", "mean" over the weights in use, or "sum". Where every target is ignored,
            or these weights sum to zero, the mean is 0 with zero gradient.

    Shape:
        input: log-probabilities, (C), (N, C) or (N, C, d1, .., dK).
        target: class indices of any integer dtype, (), (N) or (N, d1, .., dK). The result is a
        scalar, or of the target's shape for "none".

    Raises:
        ValueError: the shapes do not go together; weight is not of length C; unknown reduction.
        IndexError: a target is neither in [0, C) nor ``ignore_index``; the message says which.
        TypeError: the targets are not integers, or the input is not floating point.

    Example:
        >>> import torch
        >>> from gradus.risk.losses import NLLLoss
        >>> x = torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]]).log()
        >>> NLLLoss()(x, torch.tensor([0, 2])).exp()
        tensor(2.8284)
        >>> NLLLoss(ignore_index=2)(x, torch.tensor([0, 2])).exp()
        tensor(2.)

    Source: Fisher, On the mathematical foundations of theoretical statistics (1922).
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index

    def terms(self, input: Tensor, target: Tensor) -> Terms:  # noqa: A002
        """Return -weight[y] * input[y] and the sum of the weights in use."""
        require_classes(input, self.weight)
        index, ignored = class_index(input, target, self.ignore_index)
        return _negative_log_likelihood(input, index, ignored, self.weight)


@final
class CrossEntropyLoss(Loss):
    r"""Cross entropy between the softmax of the input and the target.

    $$p = \log \mathrm{softmax}(x), \qquad
      \ell_n = (1 - \varepsilon) (-w_{y_n} p_{n, y_n})
      + \frac{\varepsilon}{C} \sum_{c=1}^C -w_c p_{n, c}
      \quad \text{or} \quad
      \ell_n = -\sum_{c=1}^C w_c \, p_{n, c} \Big((1 - \varepsilon) y_{n, c}
      + \frac{\varepsilon}{C}\Big)$$

    for class indices and class probabilities. The mean divides by the sum of $w_{y_n}$ over
    the targets that are not ignored, for class probabilities by the number of positions.

    Args:
        weight: what each class counts, [C]; 1 for each where it is not given.
        size_average: deprecated, see ``reduction``.
        ignore_index: class indices with this value contribute nothing; it may lie in [0, C) or
            outside.
        reduce: deprecated, see ``reduction``.
        reduction: "none", "mean" or "sum". Where every class index is ignored, or the weights in
            use sum to zero, the mean is 0 with zero gradient.
        label_smoothing: $\varepsilon$ in [0, 1], the share of the target that is spread
            evenly over all classes.

    Shape:
        input: logits, (C), (N, C) or (N, C, d1, .., dK).
        target: class indices of any integer dtype, (), (N) or (N, d1, .., dK); or class
        probabilities, floating point, of the input's shape. The result is a scalar, or of the
        shape of the class indices for "none".

    Raises:
        ValueError: the shapes do not go together; weight is not of length C; unknown reduction;
            label_smoothing outside [0, 1]; ignore_index >= 0 with class probabilities.
        IndexError: a target is neither in [0, C) nor ``ignore_index``; the message says which.
        TypeError: the targets are neither integers nor floating point, or the input is not
            floating point.

    Example:
        >>> import torch
        >>> from gradus.risk.losses import CrossEntropyLoss
        >>> x = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 3.0]])
        >>> CrossEntropyLoss()(x, torch.tensor([0, 2]))
        tensor(0.1672)
        >>> CrossEntropyLoss()(x, torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
        tensor(0.1672)

    Source: Cox, The regression analysis of binary sequences (1958); label smoothing: Szegedy et
    al., Rethinking the Inception architecture for computer vision (2016), section 7.
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        if not 0.0 <= label_smoothing <= 1.0:
            raise ValueError(f"label_smoothing={label_smoothing} is outside [0, 1]")
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def mean_at_once(self, input: Tensor, target: Tensor) -> Tensor | None:  # noqa: A002
        """Return the mean of a batch of which every class counts, and equally."""
        if (
            self.weight is not None
            or input.dim() != 2
            or target.dtype != torch.int64
            or target.shape != input.shape[:1]
            or not len(target)
            or input.dtype not in (torch.float32, torch.float64)
            or 0 <= self.ignore_index < input.shape[1]
            or _is_wrapped(input, target)
        ):
            return None
        low, high = target.aminmax()
        if low.item() < 0 or high.item() >= input.shape[1]:
            return None
        return torch.nn.functional.cross_entropy(
            input, target, label_smoothing=self.label_smoothing
        )

    def terms(self, input: Tensor, target: Tensor) -> Terms:  # noqa: A002
        """Return the cross entropy at each position, and the sum of the weights in use."""
        weight, smoothing = self.weight, self.label_smoothing
        require_classes(input, weight)
        axis = class_axis(input)
        if target.is_floating_point():
            require_equal_shapes(input, target)
            if self.ignore_index >= 0:
                raise ValueError(
                    f"ignore_index={self.ignore_index} has no meaning for class probabilities; "
                    "leave it negative"
                )
            log_probabilities = wide(input).log_softmax(axis)
            if smoothing:
                target = target * (1 - smoothing) + smoothing / input.shape[axis]
            values = -(_weighted(log_probabilities, weight) * target).sum(axis)
            return Terms(values, values.numel())

        index, ignored = class_index(input, target, self.ignore_index)
        log_probabilities = wide(input).log_softmax(axis)
        values, mass = _negative_log_likelihood(log_probabilities, index, ignored, weight)
        if smoothing:
            evenly = -_weighted(log_probabilities, weight).mean(axis)
            if ignored is not None:
                evenly = evenly.masked_fill(ignored, 0)
            values = values * (1 - smoothing) + evenly * smoothing
        return Terms(values, mass)


def class_axis(output: Tensor) -> int:
    """Along which the numbers of the classes lie."""
    return 0 if output.dim() == 1 else 1


def require_classes(output: Tensor, weight: Tensor | None) -> None:
    """Refuse outputs that are no numbers of classes, and weights of others.

    Raises:
        TypeError: they are not floating point.
        ValueError: they are a scalar; weight is not of length C.
    """
    if not output.is_floating_point():
        raise TypeError(f"input must be floating point, not {output.dtype}")
    if output.dim() == 0:
        raise ValueError("input is a scalar; it must have shape (C), (N, C) or (N, C, d1, .., dK)")
    if weight is not None and weight.shape != (C := output.shape[class_axis(output)],):
        raise ValueError(f"weight has shape {tuple(weight.shape)}, but there are {C} classes")


def class_index(output: Tensor, target: Tensor, ignore_index: int) -> tuple[Tensor, Tensor | None]:
    """Return indices that are all in [0, C), and where the target is ignored (None: nowhere)."""
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise TypeError(f"class indices must be integers, not {target.dtype}")
    axis, shape = class_axis(output), output.shape
    if target.shape != (expected := shape[:axis] + shape[axis + 1 :]):
        raise ValueError(
            f"target of shape {tuple(target.shape)} does not go with input of shape "
            f"{tuple(shape)}: class indices have shape {tuple(expected)}"
        )
    C = shape[axis]
    index = target.long()
    if not index.numel():
        return index, None
    hidden = _hidden(index)
    if not (hidden or 0 <= ignore_index < C):
        # Two numbers tell, in almost every batch, that nothing is ignored or out of range.
        low, high = index.aminmax()
        if low.item() >= 0 and high.item() < C:
            return index, None
    ignored = index == ignore_index
    if not hidden:
        outside = ((index < 0) | (index >= C)) & ~ignored
        if outside.any():
            position = outside.nonzero()[0].tolist()
            where = f"target{position}" if position else "target"
            raise IndexError(
                f"class index {int(index[tuple(position)])} at {where} is outside [0, {C})"
            )
    return index.masked_fill(ignored, 0), ignored


def _hidden(index: Tensor) -> bool:
    """Whether torch.func.vmap hides the values, so that none can be looked at and refused."""
    while torch._C._functorch.is_functorch_wrapped_tensor(index):
        if torch._C._functorch.is_batchedtensor(index):
            return True
        index = torch._C._functorch.get_unwrapped(index)
    return False


def _is_wrapped(*tensors: Tensor) -> bool:
    """Whether a transform of torch.func is under way."""
    return any(map(torch._C._functorch.is_functorch_wrapped_tensor, tensors))


def _negative_log_likelihood(
    log_probabilities: Tensor, index: Tensor, ignored: Tensor | None, weight: Tensor | None
) -> Terms:
    axis = class_axis(log_probabilities)
    if log_probabilities.dim() == 2 and len(index) and not _is_wrapped(log_probabilities, index):
        # The same numbers by one node of the graph, where below there are three.
        values = torch.nn.functional.nll_loss(log_probabilities, index, reduction="none")
    else:
        values = -log_probabilities.gather(axis, index.unsqueeze(axis)).squeeze(axis)
    return counted(values, index, ignored, weight)


def counted(values: Tensor, index: Tensor, ignored: Tensor | None, weight: Tensor | None) -> Terms:
    """Values as their classes count, and the sum of the weights in use."""
    if ignored is not None:
        values = values.masked_fill(ignored, 0)
    if weight is None:
        return Terms(values, index.numel() if ignored is None else (~ignored).sum())
    in_use = weight.gather(0, index.flatten()).reshape(index.shape)
    if ignored is not None:
        in_use = in_use.masked_fill(ignored, 0)
    return Terms(in_use * values, total(in_use))


def _weighted(log_probabilities: Tensor, weight: Tensor | None) -> Tensor:
    if weight is None:
        return log_probabilities
    return log_probabilities * weight.view(-1, *[1] * (log_probabilities.dim() - 2))
