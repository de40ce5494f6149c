"""Which layers w is made of: for methods that look at a layer as a whole, not at each entry alone.

A list of tensors has its layers by itself; a flat vector ``[d]``, or the rows of ``[K, d]``, does
not. Whoever starts a method that asks for it tells it the layout of w by :func:`begun`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from gradus.importing import is_tensor
from gradus.methods.method import GradientAtIterate, Method, Point, State
from gradus.risk.tensors import Tensors

if TYPE_CHECKING:
    from torch import Tensor, nn


class Layer(NamedTuple):
    """One tensor of parameters."""

    shape: tuple[int, ...]
    hidden: bool
    """Whether it is a matrix between hidden units: no vector, no embedding, and not the last."""


@dataclass(frozen=True)
class Layout:
    """The layers of w, in their order.

    Attributes:
        layers: the shape of each, and whether it is a hidden matrix.

    Example:
        >>> import torch
        >>> from gradus.methods.layout import Layout
        >>> layout = Layout.of_model(torch.nn.Linear(2, 2))
        >>> largest = lambda layer, u: u.amax((-2, -1), keepdim=True).expand_as(u)
        >>> layout.each(largest, torch.arange(6.0))
        tensor([3., 3., 3., 3., 5., 5.])
    """

    layers: tuple[Layer, ...]

    @classmethod
    def of(cls, w: Point) -> Layout:
        """What a point tells of itself: a flat vector is one layer, without a matrix."""
        if not isinstance(w, Tensors):
            return cls((Layer((w.shape[-1],), hidden=False),))
        return cls(tuple(Layer(tuple(each.shape), each.ndim > 1) for each in w.values))

    @classmethod
    def of_model(cls, model: nn.Module) -> Layout:
        """The layers of the parameters that move; the last matrix is the head."""
        from torch import nn

        embeddings = {
            id(module.weight)
            for module in model.modules()
            if isinstance(module, nn.Embedding | nn.EmbeddingBag)
        }
        moving = [p for p in model.parameters() if p.requires_grad]
        head = next((id(p) for p in reversed(moving) if p.ndim > 1), None)
        apart = embeddings | {head}
        return cls(tuple(Layer(tuple(p.shape), p.ndim > 1 and id(p) not in apart) for p in moving))

    def each(self, function: Callable[..., Tensor], *values: Any) -> Point:
        """The point of what a function makes of each layer.

        Args:
            function: called with the :class:`Layer` and its part of every value: of a point the
                tensor ``[.., m, n]`` (of a kernel of more sides n is their product, of a vector m
                is 1), of a number the number, of one for each of K runs ``[K, 1, 1]``. It gives a
                tensor ``[.., m, n]``.
            values: a point, then others of its form, or numbers.
        """
        import torch

        w = values[0]
        pieces = (self._pieces(value, w) for value in values)
        made = [function(layer, *own) for layer, *own in zip(self.layers, *pieces, strict=True)]
        if isinstance(w, Tensors):
            rows = zip(made, self.layers, strict=True)
            return Tensors([part.reshape(layer.shape) for part, layer in rows])
        return torch.cat([part.flatten(-2) for part in made], dim=-1)

    def _pieces(self, value: Any, w: Point) -> list[Any]:
        """What each layer is given of a value."""
        sides = [_sides(layer.shape) for layer in self.layers]
        if isinstance(value, Tensors):
            return [part.reshape(each) for part, each in zip(value.values, sides, strict=True)]
        if not is_tensor(value) or value.ndim == 0:
            return [value] * len(sides)
        if value.shape != w.shape:
            return [value[..., None]] * len(sides)
        parts = value.split([math.prod(each) for each in sides], dim=-1)
        return [part.unflatten(-1, each) for part, each in zip(parts, sides, strict=True)]


def _sides(shape: tuple[int, ...]) -> tuple[int, int]:
    """The sides m and n of a layer as a matrix."""
    if len(shape) < 2:
        return 1, math.prod(shape)
    return shape[0], math.prod(shape[1:])


class LayerWise(GradientAtIterate):
    """A first-order method that asks for the layout of w: ``init`` is given it, to be kept.

    Example:
        >>> from dataclasses import dataclass
        >>> import torch, gradus
        >>> @dataclass(frozen=True)
        ... class Normalised(gradus.methods.LayerWise):
        ...     lr: float
        ...     def init(self, w, layout=None):
        ...         return layout or gradus.methods.Layout.of(w)
        ...     def update(self, w, g, layout):
        ...         unit = lambda layer, g: g / g.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-12)
        ...         return w - self.lr * layout.each(unit, g), layout
        >>> f = lambda w: (w**2).sum()
        >>> gradus.minimize(f, torch.tensor([3.0, 4.0]), Normalised(0.5), steps=1).points[-1]
        tensor([2.7000, 3.6000])
    """

    asks_layout = True

    @abstractmethod
    def init(self, w: Point, layout: Layout | None = None) -> Any:
        """The state at w, of this layout; None: what w tells of itself."""


def begun(method: Method, w: Point, layout: Layout | None) -> State:
    """The state of a method before its first step at w.

    Args:
        method: told the layout, if it asks.
        w: the start.
        layout: of w; None: what w tells of itself.
    """
    init: Callable[..., State] = method.init
    return init(w, layout) if method.asks_layout else init(w)
