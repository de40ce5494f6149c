"""How f bends at w: matrices of second derivatives, mostly known by their products with vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar, final

import torch
from torch import Size, Tensor

from gradus.risk.tensors import Tensors

Point = TypeVar("Point", Tensor, Tensors)
Entries = tuple[Tensor, ...]
Mass = Tensor | float

LIMIT = 4 * 10**9
"""The largest matrix that is formed unless asked otherwise, in bytes."""


class Product(Protocol):
    """A matrix times a vector that is given as one tensor per parameter."""

    def __call__(self, v: Entries, *, stacked: bool = False, keep: bool = True) -> Entries:
        """The product with v; with ``stacked``, of each of the vectors along a new first dimension.

        With ``keep`` the graph that it needs lasts for the next product.
        """


class Summand(NamedTuple):
    """What one chunk of the data adds to a matrix, and to the divisor of the mean."""

    product: Product
    mass: Mass


@final
class Curvature(Generic[Point]):
    r"""A symmetric matrix of second derivatives at one point, known by its products.

    $$v \mapsto A v, \qquad A = \frac{1}{m} \sum_k A_k + \nabla^2 \lambda\,\Omega(w)$$

    over the chunks k of the data. It is what an oracle's ``curvature_at(w, batch)`` returns, and is
    written ``curvature @ v``. Where the data are one chunk, the graph of the gradient is built once
    and kept, so that a product costs only the second backward pass: it holds the activations of
    the model and of its backward pass for the whole chunk until it is deleted. Where they
    are several, each product builds the graph of one chunk after the other, and holds only one.

    Args:
        w: the point; products have its form.
        shapes: the shapes of the parameters that w consists of.
        summands: makes the graph of each chunk in turn.
        share: what the sum over the chunks is multiplied by, from their masses.
        penalty: the product with the penalty's Hessian, or None.
        kept: whether to build the graphs once and keep them.

    Raises:
        ValueError: v has another length than w.

    Example:
        >>> import torch
        >>> from gradus.risk.function import Function
        >>> curvature = Function(lambda w: (w**3).sum()).curvature_at(torch.tensor([1.0, 2.0]))
        >>> curvature @ torch.tensor([1.0, 1.0])
        tensor([ 6., 12.])
        >>> curvature.matrix()
        tensor([[ 6.,  0.],
                [ 0., 12.]])

    Source: Pearlmutter, Fast exact multiplication by the Hessian (1994).
    """

    def __init__(
        self,
        w: Point,
        shapes: Sequence[Size],
        summands: Callable[[], Iterable[Summand]],
        share: Callable[[Sequence[Mass]], Mass] = lambda masses: 1.0,
        penalty: Product | None = None,
        *,
        kept: bool = False,
    ) -> None:
        self._w, self._shapes, self._share, self._penalty = w, shapes, share, penalty
        self._summands, self._kept = summands, kept
        if kept:
            with torch.enable_grad():
                built = tuple(summands())
            self._summands = lambda: built

    @property
    def dimension(self) -> int:
        """d, the length of w."""
        return sum(shape.numel() for shape in self._shapes)

    @property
    def dtype(self) -> torch.dtype:
        """The precision of w."""
        return (self._w.values[0] if isinstance(self._w, Tensors) else self._w).dtype

    @property
    def device(self) -> torch.device:
        """Where w lies."""
        return (self._w.values[0] if isinstance(self._w, Tensors) else self._w).device

    def __matmul__(self, v: Point) -> Point:
        entries = pieces(v, self._shapes, "v")
        with torch.enable_grad():
            total: Entries | None = None
            masses = []
            for product, mass in self._summands():
                part = product(entries, keep=self._kept)
                total = part if total is None else torch._foreach_add(total, part)
                masses.append(mass)
            assert total is not None
            share = self._share(masses)
            if not (isinstance(share, float) and share == 1):
                total = tuple(entry * share for entry in total)
            if self._penalty is not None:
                total = torch._foreach_add(total, self._penalty(entries))
        return in_the_form_of(self._w, total)

    def matrix(self, *, limit: float = LIMIT) -> Tensor:
        """The whole matrix ``[d, d]``, over the flat vector w.

        Args:
            limit: the most bytes that it may take.

        Raises:
            ValueError: it would take more.
        """
        require_memory(self.dimension, self.dtype, limit=limit)
        matrix = torch.zeros(self.dimension, self.dimension, dtype=self.dtype, device=self.device)
        masses = []
        with torch.enable_grad():
            for product, mass in self._summands():
                self._add_rows(matrix, product)
                masses.append(mass)
            matrix *= self._share(masses)
            if self._penalty is not None:
                self._add_rows(matrix, self._penalty)
        return matrix

    def _add_rows(self, matrix: Tensor, product: Product) -> None:
        """Add the products with the unit vectors, a block of them at a time where torch can."""
        size, start = 64, 0
        while start < len(matrix):
            rows = matrix[start : start + size]
            units = torch.zeros_like(rows)
            units.diagonal(start).fill_(1)
            entries = tuple(
                part.view(-1, *shape)
                for part, shape in zip(
                    units.split([shape.numel() for shape in self._shapes], dim=1),
                    self._shapes,
                    strict=True,
                )
            )
            if size > 1:
                try:
                    found = product(entries, stacked=True)
                except RuntimeError:  # an operation that torch.vmap does not know
                    size = 1
                    continue
            else:
                found = tuple(
                    entry[None] for entry in product(tuple(entry[0] for entry in entries))
                )
            rows += torch.cat([entry.detach().flatten(1) for entry in found], dim=1)
            start += size


def hessian_product(value: Tensor, leaves: Entries, *, create_graph: bool = False) -> Product:
    """The product with the Hessian of a value in these leaves, by a second backward pass."""
    gradients = torch.autograd.grad(
        value, leaves, create_graph=True, materialize_grads=True, allow_unused=True
    )

    def product(v: Entries, *, stacked: bool = False, keep: bool = True) -> Entries:
        return backward(gradients, leaves, v, stacked, keep, create_graph)

    return product


def gauss_newton_product(
    output: Tensor,
    leaves: Entries,
    bend: Callable[[Tensor, bool], Tensor],
    *,
    create_graph: bool = False,
) -> Product:
    r"""The product with $J^\top B J$, where J is the Jacobian of the output in these leaves.

    ``bend`` is the product with B. J v comes from two backward passes: $J^\top u$ is linear in u,
    and its derivative in u, in the direction v, is J v.
    """
    u = torch.zeros_like(output, requires_grad=True)
    transposed = torch.autograd.grad(
        output, leaves, u, create_graph=True, materialize_grads=True, allow_unused=True
    )

    def product(v: Entries, *, stacked: bool = False, keep: bool = True) -> Entries:
        (along,) = backward(transposed, (u,), v, stacked, True, create_graph)
        return backward((output,), leaves, (bend(along, stacked),), stacked, keep, create_graph)

    return product


def output_hessian(value: Tensor, output: Tensor) -> Callable[[Tensor, bool], Tensor]:
    """The product with the Hessian of a loss in the output of the model."""
    (gradient,) = torch.autograd.grad(value, output, create_graph=True)

    def bend(s: Tensor, stacked: bool) -> Tensor:
        return backward((gradient,), (output,), (s,), stacked, True, False)[0]

    return bend


def backward(
    outputs: Entries, inputs: Entries, v: Entries, stacked: bool, keep: bool, create_graph: bool
) -> Entries:
    """The transposed Jacobian of the outputs times v; 0 where they do not depend on the inputs."""
    pairs = [(output, s) for output, s in zip(outputs, v, strict=True) if output.requires_grad]
    found: Sequence[Tensor | None] = [None] * len(inputs)
    if pairs:
        dependent, vectors = zip(*pairs, strict=True)
        found = torch.autograd.grad(
            dependent,
            inputs,
            vectors,
            retain_graph=keep,
            create_graph=create_graph,
            allow_unused=True,
            is_grads_batched=stacked,
        )
    first = v[0].shape[:1] if stacked else ()
    return tuple(
        entry.new_zeros(*first, *entry.shape) if result is None else result
        for entry, result in zip(inputs, found, strict=True)
    )


def pieces(w: Tensor | Tensors, shapes: Sequence[Size], name: str = "w") -> Entries:
    """A point as one tensor per parameter.

    Raises:
        ValueError: it has another length.
    """
    entries = w.values if isinstance(w, Tensors) else (w,)
    given = [entry.shape for entry in entries]
    if given == list(shapes):
        return entries
    dimension = sum(shape.numel() for shape in shapes)
    if given != [(dimension,)]:
        said = ", ".join(str(tuple(shape)) for shape in given)
        raise ValueError(f"{name} has shape {said}, but must be ({dimension},)")
    parts = entries[0].split([shape.numel() for shape in shapes])
    return tuple(part.view(shape) for part, shape in zip(parts, shapes, strict=True))


def in_the_form_of(w: Point, entries: Entries) -> Point:
    """One tensor per parameter, as a point of w's form."""
    if isinstance(w, Tensors):
        return Tensors(entries)
    if len(entries) == 1:
        return entries[0].view(w.shape)
    return torch.cat([entry.reshape(-1) for entry in entries])


def require_memory(
    dimension: int,
    dtype: torch.dtype,
    matrices: int = 1,
    *,
    limit: float = LIMIT,
    what: str = "a Hessian",
    remedy: str = "use hvp, which never forms it",
) -> None:
    """Refuse matrices ``[d, d]`` that would take more than ``limit`` bytes, before they exist.

    Args:
        dimension: d.
        dtype: of the numbers.
        matrices: how many of them.
        limit: in bytes.
        what: what they are called in the message.
        remedy: what the message says to do instead.

    Raises:
        ValueError: they would take more.

    Example:
        >>> import torch
        >>> from gradus.risk.curvature import require_memory
        >>> require_memory(7_850, torch.float32)
        >>> require_memory(669_706, torch.float32)
        Traceback (most recent call last):
        ValueError: a Hessian of 669,706 x 669,706 float32 numbers would take 1.8 TB; the limit is \
4 GB (limit=4000000000): use hvp, which never forms it
    """
    needed = matrices * dimension**2 * dtype.itemsize
    if needed > limit:
        name = str(dtype).removeprefix("torch.")
        raise ValueError(
            f"{what} of {dimension:,} x {dimension:,} {name} numbers would take {_size(needed)}; "
            f"the limit is {_size(limit)} (limit={limit:.0f}): {remedy}"
        )


def _size(count: float) -> str:
    """A number of bytes, in decimal units and two digits."""
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if count < 999.5 or unit == "PB":
            break
        count /= 1000
    return f"{count:.1f}".removesuffix(".0") + f" {unit}" if count < 10 else f"{count:.0f} {unit}"
