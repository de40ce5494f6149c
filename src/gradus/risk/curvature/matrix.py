"""A matrix of second derivatives, known by its products, and formed where it fits in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, NamedTuple, TypeVar, final

import torch
from torch import Size, Tensor

from gradus.errors import InputError
from gradus.risk.chunks import Mass
from gradus.risk.curvature.products import Entries, Product
from gradus.risk.precision import sum_dtype, wide
from gradus.risk.tensors import Tensors

Point = TypeVar("Point", Tensor, Tensors)

LIMIT = 4 * 10**9
"""The largest matrix that is formed unless asked otherwise, in bytes."""


class Summand(NamedTuple):
    """What one chunk of the data adds to a matrix, and to the divisor of the mean.

    Args:
        product: of the sum over the chunk.
        mass: what it adds to the divisor.
        rows: how many rows of the matrix may be found at once.
    """

    product: Product
    mass: Mass
    rows: int = 64


@final
class Curvature(Generic[Point]):
    r"""A symmetric matrix of second derivatives at one point, known by its products.

    $$v \mapsto A v, \qquad A = \frac{1}{m} \sum_k A_k + \nabla^2 \lambda\,\Omega(w)$$

    over the chunks k of the data. An oracle's ``curvature_at(w, batch)`` makes it, and its product
    is written ``curvature @ v``. It is made for many products at one point. Where the data are one
    chunk, the graph of the gradient is built once, and a product costs only a backward pass
    through it; until the curvature is deleted, that graph holds the activations of the forward
    and of the backward pass for the whole chunk, about three times what a gradient holds for a
    moment. Where the chunks are several, each product builds the graph of one after the other
    anew and holds one at a time; it draws the random numbers (of dropout, say) that the first has
    drawn, so all are products with one matrix.

    Where w requires gradients, and gradients are on as the curvature is made, products are
    differentiable in w and v, and the matrix in w. To differentiate twice through a graph that is
    kept takes ``retain_graph=True``, as everywhere in torch.

    Args:
        w: the point; products have its form.
        shapes: the shapes of the parameters that w consists of.
        summands: makes the graph of each chunk in turn.
        share: what the sum over the chunks is multiplied by, from their masses.
        penalty: the product with the Hessian of the penalty, or None.
        kept: build the graphs now, and keep them.

    Raises:
        ValueError: v has another length or dtype than w.

    Example:
        >>> import torch
        >>> from gradus.risk.function import Function
        >>> curvature = Function(lambda w: (w**3).sum()).curvature_at(torch.tensor([1.0, 2.0]))
        >>> curvature @ torch.tensor([1.0, 1.0])
        tensor([ 6., 12.])
        >>> curvature.matrix()
        tensor([[ 6.,  0.],
                [ 0., 12.]])

    Source: Pearlmutter (1994), "Fast exact multiplication by the Hessian"; Schraudolph (2002),
        "Fast curvature matrix-vector products for second-order gradient descent".
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
        self._w: Tensor | Tensors = w
        entries: Entries = w.values if isinstance(w, Tensors) else (w,)
        self._dtypes = {entry.dtype for entry in entries}
        self._shapes, self._share, self._penalty = shapes, share, penalty
        self._summands, self._kept = summands, kept
        self._generators: list[Tensor] = []
        if kept:
            with torch.enable_grad():
                built = tuple(summands())
            self._summands = lambda: built

    @property
    def dimension(self) -> int:
        """d, the length of w."""
        return sum(shape.numel() for shape in self._shapes)

    @property
    def like(self) -> Tensor:
        """A tensor of the precision and on the device of w."""
        return self._w.values[0] if isinstance(self._w, Tensors) else self._w

    def __matmul__(self, v: Tensor | Tensors) -> Point:
        entries = split_parameters(v, self._shapes, "v")
        if wrong := {entry.dtype for entry in entries} - self._dtypes:
            known = " and ".join(map(str, self._dtypes))
            raise ValueError(f"v is of {wrong.pop()}, but w of {known}: they must be the same")
        with torch.enable_grad(), self._same_draws():
            total: Entries = ()
            masses = []
            for product, mass, _ in self._summands():
                part = tuple(map(wide, product(entries, keep=self._kept)))
                total = torch._foreach_add(total, part) if total else part
                masses.append(mass)
            share = self._share(masses)
            if isinstance(share, Tensor) or share != 1:
                total = tuple(entry * share for entry in total)
            if self._penalty is not None:
                total = torch._foreach_add(total, self._penalty(entries))
            total = tuple(entry.to(like.dtype) for entry, like in zip(total, entries, strict=True))
        result: Point = like_point(self._w, total)
        return result

    def matrix(self, *, limit: float = LIMIT) -> Tensor:
        """The whole matrix ``[d, d]``, over the flat vector w.

        Args:
            limit: how many bytes it may take.

        Raises:
            InputError: it would take more.
        """
        dtype = sum_dtype(self.like.dtype)
        require_memory(self.dimension, dtype, limit=limit)
        matrix = self.like.new_zeros(self.dimension, self.dimension, dtype=dtype)
        masses = []
        with torch.enable_grad(), self._same_draws():
            for summand in self._summands():
                self._add_rows(matrix, summand.product, summand.rows)
                masses.append(summand.mass)
            matrix *= self._share(masses)
            if self._penalty is not None:
                self._add_rows(matrix, self._penalty, 64)
        return matrix.to(self.like.dtype)

    @contextmanager
    def _same_draws(self) -> Iterator[None]:
        """Every evaluation draws what the first has drawn, which alone moves the generators."""
        devices: list[torch.device] = [self.like.device] if self.like.is_cuda else []
        if self._kept:
            yield  # evaluated already
        elif not self._generators:
            self._generators = [torch.get_rng_state(), *map(torch.cuda.get_rng_state, devices)]
            yield
        else:
            with torch.random.fork_rng(devices):
                torch.set_rng_state(self._generators[0])
                for device, state in zip(devices, self._generators[1:], strict=True):
                    torch.cuda.set_rng_state(state, device)
                yield

    def _add_rows(self, matrix: Tensor, product: Product, size: int) -> None:
        """Add the products with the unit vectors, a block of them at a time where torch can."""
        start = 0
        while start < len(matrix):
            rows = matrix[start : start + size]
            units = torch.zeros_like(rows, dtype=self.like.dtype)
            units.diagonal(start).fill_(1)
            try:
                found = self._products(product, units, one_by_one=size == 1)
            except RuntimeError:
                if size == 1:
                    raise
                size = 1  # an operation of the model that cannot be stacked
                continue
            rows += found
            start += size

    def _products(self, product: Product, vectors: Tensor, *, one_by_one: bool) -> Tensor:
        """The products with the rows of ``vectors``, which is one row if ``one_by_one``."""
        parts = vectors.split([shape.numel() for shape in self._shapes], dim=1)
        stack = [p.view(len(p), *shape) for p, shape in zip(parts, self._shapes, strict=True)]
        if one_by_one:
            found = product(tuple(vector[0] for vector in stack))
        else:
            found = product(tuple(stack), stacked=True)
        each = zip(found, parts, strict=True)
        return torch.cat([entry.reshape(part.shape) for entry, part in each], dim=1)


def require_memory(
    dimension: int,
    dtype: torch.dtype,
    matrices: int = 1,
    *,
    limit: float | None = None,
    what: str = "a Hessian",
    remedy: str = "use hvp, which never forms it",
) -> None:
    """Refuse matrices ``[d, d]`` that would take too much memory, before they exist.

    Args:
        dimension: d.
        dtype: of the numbers.
        matrices: how many of them.
        limit: the most bytes that they may take, where the user can give it as ``limit=``;
            else :data:`LIMIT`.
        what: what the message calls them.
        remedy: what the message says to do instead.

    Raises:
        InputError: they would take more.

    Example:
        >>> import torch
        >>> from gradus.risk.curvature import require_memory
        >>> require_memory(7_850, torch.float32)
        >>> require_memory(100_000, torch.float32)
        Traceback (most recent call last):
        gradus.errors.InputError: a Hessian of 100,000 x 100,000 float32 numbers would take 40 GB; \
the limit is 4 GB: use hvp, which never forms it
    """
    needed, most = matrices * dimension**2 * dtype.itemsize, LIMIT if limit is None else limit
    if needed > most:
        name = str(dtype).removeprefix("torch.")
        given = "" if limit is None else f" (limit={limit:.0f})"
        raise InputError(
            f"{what} of {dimension:,} x {dimension:,} {name} numbers would take {_size(needed)}; "
            f"the limit is {_size(most)}{given}: {remedy}"
        )


def _size(count: float) -> str:
    """A number of bytes, in decimal units and two digits."""
    units = ["B", "kB", "MB", "GB", "TB", "PB"]
    while count >= 999.5 and len(units) > 1:
        count /= 1000
        del units[0]
    digits = f"{count:.1f}".removesuffix(".0") if count < 9.95 else f"{count:,.0f}"
    return f"{digits} {units[0]}"


# Points, as one tensor per parameter.


def split_parameters(w: Tensor | Tensors, shapes: Sequence[Size], name: str = "w") -> Entries:
    """A point as one tensor per parameter, whichever form it has.

    Raises:
        ValueError: it has another length.
        TypeError: it is no tensor, or w is not made of real floating-point numbers.
    """
    if not isinstance(w, Tensor | Tensors):
        raise TypeError(f"{name} must be a tensor or Tensors, not {type(w).__name__}")
    entries = w.values if isinstance(w, Tensors) else (w,)
    for entry in entries if name == "w" else ():
        if not entry.is_floating_point():
            raise TypeError(f"w must be of real floating-point numbers, not {entry.dtype}")
    given = [entry.shape for entry in entries]
    if given == list(shapes):
        return entries
    dimension = sum(shape.numel() for shape in shapes)
    if given != [(dimension,)]:
        said = ", ".join(str(tuple(shape)) for shape in given)
        raise ValueError(f"{name} has shape {said}, but must be ({dimension},)")
    parts = entries[0].split([shape.numel() for shape in shapes])
    return tuple(part.view(shape) for part, shape in zip(parts, shapes, strict=True))


def like_point(w: Any, entries: Entries) -> Any:
    """One tensor per parameter, as a point of w's form."""
    if isinstance(w, Tensors):
        return Tensors(entries)
    if len(entries) == 1:
        return entries[0].view(w.shape)
    return torch.cat([entry.reshape(-1) for entry in entries])
