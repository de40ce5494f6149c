"""How does f bend at w: matrices of second derivatives, their products, eigenvalues and trace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar, final, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Size, Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.overrides import TorchFunctionMode

from gradus.risk.losses import CrossEntropyLoss, KLDivLoss, L1Loss, Loss, MSELoss, NLLLoss
from gradus.risk.tensors import Tensors

Point = TypeVar("Point", Tensor, Tensors)
Entries = tuple[Tensor, ...]
Mass = Tensor | float
Array = NDArray[np.float64]
Matrix = Literal["hessian", "gauss-newton", "fisher", "empirical-fisher"]

LIMIT = 4 * 10**9
"""The largest matrix that is formed unless asked otherwise, in bytes."""


class Product(Protocol):
    """A matrix times a vector that is given as one tensor per parameter."""

    def __call__(self, v: Entries, *, stacked: bool = False, keep: bool = True) -> Entries:
        """The product with v; ``stacked``: with each vector along a new first dimension of v.

        The graph that it needs lasts for another product if ``keep``.
        """


Bend = Callable[[Tensor, bool], Tensor]
"""A matrix over the output of the model times a tensor of its form, or times a stack of them."""


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
    anew and holds one at a time.

    Products are differentiable in w and v where w requires gradients; the matrix is not.

    Args:
        w: the point; products have its form.
        shapes: the shapes of the parameters that w consists of.
        summands: makes the graph of each chunk in turn.
        share: what the sum over the chunks is multiplied by, from their masses.
        penalty: the product with the Hessian of the penalty, or None.
        kept: build the graphs now, and keep them.

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
        self._shapes, self._share, self._penalty = shapes, share, penalty
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
    def like(self) -> Tensor:
        """A tensor of the precision and on the device of w."""
        return self._w.values[0] if isinstance(self._w, Tensors) else self._w

    def __matmul__(self, v: Tensor | Tensors) -> Point:
        entries = pieces(v, self._shapes, "v")
        with torch.enable_grad():
            total: Entries = ()
            masses = []
            for product, mass, _ in self._summands():
                part = product(entries, keep=self._kept)
                total = torch._foreach_add(total, part) if total else part
                masses.append(mass)
            share = self._share(masses)
            if isinstance(share, Tensor) or share != 1:
                total = tuple(entry * share for entry in total)
            if self._penalty is not None:
                total = torch._foreach_add(total, self._penalty(entries))
        result: Point = in_the_form_of(self._w, total)
        return result

    def matrix(self, *, limit: float = LIMIT) -> Tensor:
        """The whole matrix ``[d, d]``, over the flat vector w.

        Args:
            limit: how many bytes it may take.

        Raises:
            ValueError: it would take more.
        """
        require_memory(self.dimension, self.like.dtype, limit=limit)
        matrix = self.like.detach().new_zeros(self.dimension, self.dimension)
        masses = []
        with torch.enable_grad():
            for summand in self._summands():
                self._add_rows(matrix, summand.product, summand.rows)
                masses.append(summand.mass)
            matrix *= self._share(masses)
            if self._penalty is not None:
                self._add_rows(matrix, self._penalty, 64)
        return matrix

    def _add_rows(self, matrix: Tensor, product: Product, size: int) -> None:
        """Add the products with the unit vectors, a block of them at a time where torch can."""
        start = 0
        while start < len(matrix):
            rows = matrix[start : start + size]
            units = torch.zeros_like(rows)
            units.diagonal(start).fill_(1)
            parts = units.split([shape.numel() for shape in self._shapes], dim=1)
            try:
                found = self._products(product, parts, one_by_one=size == 1)
            except RuntimeError:
                if size == 1:
                    raise
                size = 1  # an operation of the model that cannot be stacked
                continue
            rows += torch.cat([entry.detach().flatten(1) for entry in found], dim=1)
            start += size

    def _products(self, product: Product, parts: Entries, *, one_by_one: bool) -> Entries:
        if one_by_one:
            v = tuple(p.view(shape) for p, shape in zip(parts, self._shapes, strict=True))
            return tuple(entry[None] for entry in product(v))
        stack = tuple(p.view(-1, *shape) for p, shape in zip(parts, self._shapes, strict=True))
        return product(stack, stacked=True)


# What a product is made of.


class TwiceDifferentiable(TorchFunctionMode):
    r"""Takes part in the evaluation of a model that will be differentiated twice.

    Let $y = x W^\top + c$ be a linear layer and $\delta$ the gradient in y. A second backward pass
    asks the gradient $\delta^\top x$ in W only for its inner product with a direction V, which is
    $\langle \delta, x V^\top \rangle$: so the first pass may stop at $\delta$. In a chain of
    layers this saves one of the six matrix products of a layer that a Hessian times a vector costs.
    Every other use of a parameter is left to automatic differentiation; one may well have both.

    Args:
        leaves: the parameters as they are given to the model, or none to leave all linear layers
            to automatic differentiation.
    """

    def __init__(self, leaves: Entries) -> None:
        super().__init__()
        self.twins = tuple(leaf.detach().requires_grad_() for leaf in leaves)
        self.uses: list[Use] = []
        self._index = {id(leaf): at for at, leaf in enumerate(leaves)}

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is nn.functional.linear:
            return self._linear(*args, **(kwargs or {}))
        if func is torch._weight_norm:
            # The second derivative of torch's own is wrong (2.13); this is its definition.
            return _weight_norm(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _linear(self, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:  # noqa: A002
        if (at := self._index.get(id(weight))) is None or torch.is_autocast_enabled(
            input.device.type
        ):
            return nn.functional.linear(input, weight, bias)
        bias_at = self._index.get(id(bias))
        if bias_at is not None:
            bias = self.twins[bias_at]
        output = nn.functional.linear(input, self.twins[at], bias)
        # The edge stays that of this layer, should a layer after it work in place.
        self.uses.append(Use(input, get_gradient_edge(output), at, bias_at))
        return output


def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    return v * (g / torch.norm_except_dim(v, 2, dim))


class Use(NamedTuple):
    """One evaluation of a linear layer: its input, its output, and which parameters it has."""

    input: Tensor
    output: GradientEdge
    weight: int
    bias: int | None

    def along(self, v: Entries, stacked: bool) -> Tensor:
        """The layer in the direction v: its output with V and c for parameters."""
        V, c = v[self.weight], None if self.bias is None else v[self.bias]
        if not stacked:
            return nn.functional.linear(self.input, V, c)
        output = torch.einsum("...i,koi->k...o", self.input, V)
        if c is None:
            return output
        return output + c.view(len(c), *[1] * (self.input.dim() - 1), -1)

    def back_along(self, delta: Tensor, v: Entries, stacked: bool) -> Tensor:
        """The gradient in the output, brought back to the input by V."""
        V = v[self.weight]
        return torch.einsum("...o,koi->k...i", delta, V) if stacked else delta @ V


class Slope(NamedTuple):
    r"""A gradient g, ready to be differentiated along v.

    The derivative of $g^\top v$ is that of the sum of the inner products of these tensors with
    weights, which depend on v and are themselves held fixed.
    """

    tensors: Entries
    weights: Callable[[Entries, bool], Entries]


def slope(
    root: Tensor,
    leaves: Entries,
    layers: TwiceDifferentiable | None,
    weight: Tensor | None = None,
    *,
    with_inputs: bool = True,
) -> Slope:
    """The gradient of a scalar in the leaves, or of an output in inner product with a weight.

    ``with_inputs`` tells that the inputs of the linear layers depend on what it will be
    differentiated in.
    """
    uses = layers.uses if layers else []
    within: Any = (*leaves, *(use.output for use in uses))
    found = torch.autograd.grad(root, within, weight, create_graph=True, allow_unused=True)
    whole = [(at, g) for at, g in enumerate(found[: len(leaves)]) if g is not None]
    deltas = found[len(leaves) :]
    in_layers = [(use, d) for use, d in zip(uses, deltas, strict=True) if d is not None]
    tensors = [g for _, g in whole] + [delta for _, delta in in_layers]
    moving = [(use, d) for use, d in in_layers if with_inputs and use.input.requires_grad]
    tensors += [use.input for use, _ in moving]

    def weights(v: Entries, stacked: bool) -> Entries:
        if not in_layers:
            return tuple(v[at] for at, _ in whole)
        with torch.no_grad():
            return (
                *(v[at] for at, _ in whole),
                *(use.along(v, stacked) for use, _ in in_layers),
                *(use.back_along(delta, v, stacked) for use, delta in moving),
            )

    return Slope(tuple(tensors), weights)


def hessian_product(
    value: Tensor,
    leaves: Entries,
    layers: TwiceDifferentiable | None = None,
    *,
    create_graph: bool = False,
) -> Product:
    """The product with the Hessian of a value in these leaves: a second backward pass."""
    tensors, weights = slope(value, leaves, layers)

    def product(v: Entries, *, stacked: bool = False, keep: bool = True) -> Entries:
        return backward(
            tensors,
            leaves,
            weights(v, stacked),
            layers,
            stacked=stacked,
            keep=keep,
            create_graph=create_graph,
        )

    return product


def gauss_newton_product(
    output: Tensor,
    leaves: Entries,
    bend: Bend,
    layers: TwiceDifferentiable | None = None,
    *,
    create_graph: bool = False,
) -> Product:
    r"""The product with $J^\top B J$, where J is the Jacobian of the output in these leaves.

    J v takes no forward pass: $J^\top u$ is linear in u, and its derivative in u is $J$.
    """
    u = torch.zeros_like(output, requires_grad=True)
    tensors, weights = slope(output, leaves, layers, u, with_inputs=False)

    def product(v: Entries, *, stacked: bool = False, keep: bool = True) -> Entries:
        (along,) = backward(
            tensors, (u,), weights(v, stacked), stacked=stacked, create_graph=create_graph
        )
        return backward(
            (output,),
            leaves,
            (bend(along, stacked),),
            layers,
            stacked=stacked,
            keep=keep,
            create_graph=create_graph,
        )

    return product


def backward(
    outputs: Entries,
    inputs: Entries,
    weights: Entries,
    layers: TwiceDifferentiable | None = None,
    *,
    stacked: bool = False,
    keep: bool = True,
    create_graph: bool = False,
) -> Entries:
    """The gradient of the weighted sum of the outputs in the inputs, 0 where there is none.

    What linear layers make of the inputs counts too.
    """
    twins = layers.twins if layers else ()
    dependent = [(o, weight) for o, weight in zip(outputs, weights, strict=True) if o.requires_grad]
    found: Sequence[Tensor | None] = [None] * (len(inputs) + len(twins))
    if dependent:
        found = torch.autograd.grad(
            [output for output, _ in dependent],
            (*inputs, *twins),
            [weight for _, weight in dependent],
            retain_graph=keep or create_graph,
            create_graph=create_graph,
            allow_unused=True,
            is_grads_batched=stacked,
        )
    first = weights[0].shape[:1] if stacked else ()
    both = zip(found, found[len(inputs) :] if twins else [None] * len(inputs), strict=False)
    return tuple(_sum(a, b, entry, first) for (a, b), entry in zip(both, inputs, strict=True))


def _sum(a: Tensor | None, b: Tensor | None, like: Tensor, first: Sequence[int]) -> Tensor:
    found = [gradient for gradient in (a, b) if gradient is not None]
    if not found:
        return like.new_zeros(*first, *like.shape)
    return found[0] if len(found) == 1 else found[0] + found[1]


# The matrices in the output of the model, between J and its transpose.


def output_hessian(value: Tensor, output: Tensor, *, create_graph: bool = False) -> Bend:
    """The Hessian of a loss in the output of the model."""
    (gradient,) = torch.autograd.grad(value, output, create_graph=True)

    def bend(s: Tensor, stacked: bool) -> Tensor:
        return backward((gradient,), (output,), (s,), stacked=stacked, create_graph=create_graph)[0]

    return bend


def output_fisher(loss: Loss, output: Tensor, y: Tensor) -> Bend:
    r"""The Fisher matrix of each output, where the loss is a negative log-likelihood.

    $$E_{y \sim p(\cdot \mid z)} \big[\nabla_z \ell \, \nabla_z \ell^\top\big] = \begin{cases}
      \mathrm{diag}(p) - p p^\top, \ p = \mathrm{softmax}(z) & \text{cross entropy} \\
      \mathrm{diag}(p), \ p = e^z & \text{NLL and KL, of log-probabilities z} \\
      2 I & \text{MSE: Gaussian of variance } 1/2 \\
      I & \text{L1: Laplace}
      \end{cases}$$

    Ignored targets count as nothing.

    Raises:
        ValueError: class weights or label smoothing, with which the loss is no such likelihood.
    """
    if isinstance(loss, MSELoss | L1Loss):
        factor = 2.0 if isinstance(loss, MSELoss) else 1.0
        return lambda s, stacked: s * factor
    if isinstance(loss, KLDivLoss):
        probability = output.exp()
        return lambda s, stacked: s * probability
    assert isinstance(loss, CrossEntropyLoss | NLLLoss)
    _require_likelihood(loss)
    axis = 0 if output.dim() == 1 else 1
    used: Tensor | float = 1.0
    if not y.is_floating_point():
        used = (y != loss.ignore_index).unsqueeze(axis)
    if isinstance(loss, NLLLoss):
        used_probability = output.exp() * used
        return lambda s, stacked: s * used_probability
    p, axis = output.softmax(axis), axis - output.dim()

    def bend(s: Tensor, stacked: bool) -> Tensor:
        ps = p * s
        return (ps - p * ps.sum(axis, keepdim=True)) * used

    return bend


def _require_likelihood(loss: CrossEntropyLoss | NLLLoss) -> None:
    for name, given in (
        ("class weights", loss.weight is not None),
        ("label smoothing", getattr(loss, "label_smoothing", 0) > 0),
    ):
        if given:
            raise ValueError(
                f"with {name}, {type(loss).__name__} is no negative log-likelihood, and has no "
                "Fisher matrix: use the Gauss-Newton matrix, or the empirical Fisher matrix"
            )


def output_empirical_fisher(gradient: Tensor) -> Bend:
    r"""The matrix $g_i g_i^\top$ of each example, from the gradient ``[N, ...]`` in the output."""
    within = tuple(range(1 - gradient.dim(), 0))

    def bend(s: Tensor, stacked: bool) -> Tensor:
        inner = gradient * s
        return gradient * (inner.sum(within, keepdim=True) if within else inner)

    return bend


def likelihood(loss: object) -> Loss:
    """The loss of this package that says what each example contributes.

    Raises:
        ValueError: there is none.
    """
    if isinstance(loss, Loss):
        return loss
    if type(loss) is nn.MSELoss:
        return MSELoss(reduction=loss.reduction)
    if type(loss) is nn.L1Loss:
        return L1Loss(reduction=loss.reduction)
    if type(loss) is nn.KLDivLoss:
        return KLDivLoss(reduction=loss.reduction, log_target=loss.log_target)
    if type(loss) is nn.NLLLoss:
        return NLLLoss(loss.weight, None, loss.ignore_index, None, loss.reduction)
    if type(loss) is nn.CrossEntropyLoss:
        return CrossEntropyLoss(
            loss.weight, None, loss.ignore_index, None, loss.reduction, loss.label_smoothing
        )
    name = getattr(loss, "__name__", type(loss).__name__)
    raise ValueError(
        f"the Fisher matrix is known of MSELoss, L1Loss, NLLLoss, CrossEntropyLoss and KLDivLoss, "
        f"not of {name}: use the Gauss-Newton matrix"
    )


# Points, as one tensor per parameter.


def pieces(w: Tensor | Tensors, shapes: Sequence[Size], name: str = "w") -> Entries:
    """A point as one tensor per parameter, whichever form it has.

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


def in_the_form_of(w: Any, entries: Entries) -> Any:
    """One tensor per parameter, as a point of w's form."""
    if isinstance(w, Tensors):
        return Tensors(entries)
    if len(entries) == 1:
        return entries[0].view(w.shape)
    return torch.cat([entry.reshape(-1) for entry in entries])


def of_value(value: Callable[[Tensor], Tensor], w: Tensor, *, kept: bool) -> Curvature[Tensor]:
    """The Hessian at w of a callable that returns a scalar tensor."""
    differentiable = torch.is_grad_enabled() and w.requires_grad
    leaf = w if differentiable else w.detach().requires_grad_()

    def summands() -> list[Summand]:
        found = require_scalar(value(leaf))
        return [Summand(hessian_product(found, (leaf,), create_graph=differentiable), 0.0)]

    return Curvature(w, (w.shape,), summands, kept=kept)


def require_scalar(value: object) -> Tensor:
    """Refuse what a function returns unless it is a scalar tensor."""
    if not isinstance(value, Tensor) or value.dim() != 0:
        shape = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
        raise ValueError(f"f must return a scalar tensor, but f(w) is {shape}")
    return value


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
        what: what the message calls them.
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
    units = ["B", "kB", "MB", "GB", "TB", "PB"]
    while count >= 999.5 and len(units) > 1:
        count /= 1000
        del units[0]
    digits = f"{count:.1f}".removesuffix(".0") if count < 9.95 else f"{count:,.0f}"
    return f"{digits} {units[0]}"


# What is asked of any f: an oracle of this package, or any callable of a tensor.


def curvature_at(
    f: Any, w: Any, batch: Any = None, *, matrix: Matrix = "hessian"
) -> Curvature[Any]:
    """A matrix of second derivatives of f at w, known by its products.

    Args:
        f: an oracle (a risk, a function), or any callable of a tensor that returns a scalar tensor.
        w: the point, ``[d]`` or :class:`~gradus.risk.tensors.Tensors`.
        batch: the batch, as f takes it.
        matrix: "hessian", "gauss-newton", "fisher" or "empirical-fisher".

    Raises:
        ValueError: f has no such matrix.
    """
    if hasattr(f, "curvature_at"):
        curvature: Curvature[Any] = f.curvature_at(w, batch, matrix=matrix)
        return curvature
    require_matrix(matrix, ("hessian",), "a plain function")
    return of_value(lambda leaf: f(leaf) if batch is None else f(leaf, batch), w, kept=True)


def require_matrix(matrix: str, known: Sequence[str], owner: str) -> None:
    """Refuse a matrix that f does not have.

    Raises:
        ValueError: the name is unknown, or f has no such matrix.
    """
    if matrix not in get_args(Matrix):
        raise ValueError(
            f"matrix={matrix!r} is not one of {', '.join(map(repr, get_args(Matrix)))}"
        )
    if matrix not in known:
        raise ValueError(
            f"{owner} has no {matrix} matrix, only {' and '.join(map(repr, known))}: that takes a "
            "model and a loss (EmpiricalRisk), or residuals (LeastSquares)"
        )


def hvp(f: Any, w: Point, v: Point, batch: Any = None) -> Point:
    r"""The Hessian of f at w times v.

    $$\nabla^2 f(w)\, v = \nabla_w \big( \nabla f(w)^\top v \big)$$

    Args:
        f: an oracle, or any callable of a tensor that returns a scalar tensor.
        w: the point.
        v: the direction, of w's form.
        batch: the batch, as f takes it.

    Example:
        >>> import torch
        >>> from gradus.risk import curvature
        >>> w, v = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.0])
        >>> curvature.hvp(lambda w: w.prod() ** 2, w, v)
        tensor([8., 8.])

    Source: Pearlmutter (1994), "Fast exact multiplication by the Hessian".
    """
    if hasattr(f, "hvp"):
        product: Point = f.hvp(w, v, batch)
    else:
        product = curvature_at(f, w, batch) @ v
    return product


def hessian(f: Any, w: Tensor | Tensors, batch: Any = None, *, limit: float = LIMIT) -> Tensor:
    r"""The Hessian of f at w, ``[d, d]`` over the flat vector w.

    $$\big(\nabla^2 f(w)\big)_{ij} = \frac{\partial^2 f}{\partial w_i \partial w_j}(w)$$

    Args:
        f: an oracle, or any callable of a tensor that returns a scalar tensor.
        w: the point.
        batch: the batch, as f takes it.
        limit: how many bytes the matrix may take.

    Raises:
        ValueError: it would take more.

    Example:
        >>> import torch
        >>> from gradus.risk import curvature
        >>> curvature.hessian(lambda w: w.prod() ** 2, torch.tensor([1.0, 2.0]))
        tensor([[8., 8.],
                [8., 2.]])
    """
    if hasattr(f, "hessian"):
        matrix: Tensor = f.hessian(w, batch, limit=limit)
        return matrix
    return curvature_at(f, w, batch).matrix(limit=limit)


@final
@dataclass(frozen=True)
class Eigenvalues:
    """Some eigenvalues of a symmetric matrix.

    Args:
        values: in ascending order, ``[k]``, or ``[2k]`` from both ends.
        vectors: the unit eigenvectors in the columns, ``[d, k]`` over the flat vector w; or None.
        products: how many products with the matrix it took.
    """

    values: Tensor
    vectors: Tensor | None
    products: int


def eigenvalues(
    f: Any,
    w: Tensor | Tensors,
    k: int = 1,
    which: Literal["largest", "smallest", "both"] = "largest",
    *,
    batch: Any = None,
    matrix: Matrix = "hessian",
    vectors: bool = False,
    tolerance: float | None = None,
    iterations: int | None = None,
    seed: int = 0,
) -> Eigenvalues:
    r"""The eigenvalues of the Hessian of f at w at one end of its spectrum, or at both.

    $$\nabla^2 f(w)\, u = \lambda u$$

    by the implicitly restarted Lanczos method, which asks only for products with the matrix; up to
    64 dimensions from the matrix itself.

    Args:
        f: an oracle, or any callable of a tensor that returns a scalar tensor.
        w: the point.
        k: how many eigenvalues, from each end.
        which: "largest" and "smallest" go by sign: the most negative ones are the smallest.
        batch: the batch, as f takes it.
        matrix: "hessian", "gauss-newton", "fisher" or "empirical-fisher".
        vectors: return the eigenvectors too.
        tolerance: the error accepted, relative to the norm of the matrix; by default the precision
            of w to the power 2/3.
        iterations: how many restarts at most; 10 d by default.
        seed: of the random vector at the start.

    Raises:
        ValueError: there are not that many eigenvalues; ``which`` or ``matrix`` is unknown.
        RuntimeError: the iterations were not enough.

    Example:
        >>> import torch
        >>> from gradus.risk import curvature
        >>> curvature.eigenvalues(lambda w: w.prod() ** 2, torch.tensor([1.0, 2.0]), 2).values
        tensor([-3.5440, 13.5440])

    Source: Lanczos (1950); Lehoucq, Sorensen, Yang (1998), "ARPACK Users' Guide".
    """
    if which not in ("largest", "smallest", "both"):
        raise ValueError(f"which={which!r} is not one of 'largest', 'smallest', 'both'")
    ends = ("smallest", "largest") if which == "both" else (which,)
    curvature = curvature_at(f, w, batch, matrix=matrix)
    d, wanted = curvature.dimension, k * len(ends)
    if not 1 <= wanted <= d:
        raise ValueError(f"k={k} {which} eigenvalues: a matrix of {d} x {d} has {d}, give k >= 1")
    if d <= max(64, wanted):
        values, columns = torch.linalg.eigh(curvature.matrix())
        ends_at = {"largest": range(d - k, d), "smallest": range(k)}
        at = [i for end in ends for i in ends_at[end]]
        return Eigenvalues(values[at], columns[:, at] if vectors else None, d)
    lanczos = _Lanczos(curvature, tolerance, iterations, seed)
    found = [lanczos.end(k, end) for end in ends]
    like = curvature.like
    return Eigenvalues(
        torch.cat([torch.from_numpy(values) for values, _ in found]).to(like),
        torch.cat([torch.from_numpy(u) for _, u in found], dim=1).to(like) if vectors else None,
        lanczos.products,
    )


class _Lanczos:
    """The Lanczos method on one matrix, in float64 whatever the precision of the products."""

    def __init__(
        self,
        curvature: Curvature[Any],
        tolerance: float | None,
        iterations: int | None,
        seed: int,
    ) -> None:
        self.curvature, self.products = curvature, 0
        precision = torch.finfo(curvature.like.dtype).eps
        self.tolerance = precision ** (2 / 3) if tolerance is None else tolerance
        self.iterations = 10 * curvature.dimension if iterations is None else iterations
        self.start = np.random.default_rng(seed).standard_normal(curvature.dimension)
        self.norm = self._norm()

    def product(self, v: Array) -> Array:
        """The matrix times a flat vector."""
        self.products += 1
        like = self.curvature.like
        found = self.curvature @ torch.from_numpy(v).to(like)
        flat = found.flat() if isinstance(found, Tensors) else found.reshape(-1)
        return flat.detach().double().cpu().numpy()

    def _norm(self) -> float:
        """The order of the norm of the matrix, by a few steps of the power method; 1 if it is 0."""
        v, norm = self.start, 0.0
        for _ in range(5):
            v = self.product(v / np.linalg.norm(v))
            norm = float(np.linalg.norm(v))
            if norm == 0:
                return 1.0
        return norm

    def end(self, k: int, end: str) -> tuple[Array, Array]:
        """The eigenvalues and vectors at one end of the spectrum."""
        from scipy.sparse.linalg import (  # type: ignore[import-untyped, unused-ignore]
            ArpackNoConvergence,
            LinearOperator,
            eigsh,
        )

        # ARPACK's tolerance is relative to each eigenvalue, which may be 0. Moved away from 0 by
        # the norm of the matrix, all those at this end are of its order.
        shift = self.norm if end == "largest" else -self.norm
        d = self.curvature.dimension
        operator = LinearOperator(
            (d, d), matvec=lambda v: self.product(v) + shift * v, dtype=np.float64
        )
        try:
            values, columns = eigsh(
                operator,
                k,
                which="LA" if end == "largest" else "SA",
                v0=self.start,
                tol=self.tolerance,
                maxiter=self.iterations,
            )
        except ArpackNoConvergence as error:
            raise RuntimeError(
                f"{len(error.eigenvalues)} of the {k} {end} eigenvalues were found to a tolerance "
                f"of {self.tolerance:.1e} in {self.iterations} iterations: raise tolerance= or "
                "iterations="
            ) from None
        order = np.argsort(values)
        return values[order] - shift, columns[:, order]


@final
@dataclass(frozen=True)
class Trace:
    """An estimate of a trace, and how far off it may be.

    Args:
        value: the mean over the samples.
        standard_error: the standard deviation of that mean.
        samples: how many there were.
    """

    value: float
    standard_error: float
    samples: int

    def __str__(self) -> str:
        return f"{self.value:.6g} ± {self.standard_error:.2g} ({self.samples} samples)"


def trace(
    f: Any,
    w: Tensor | Tensors,
    samples: int = 100,
    seed: int = 0,
    *,
    batch: Any = None,
    matrix: Matrix = "hessian",
) -> Trace:
    r"""The trace of the Hessian of f at w, estimated from products with random signs.

    $$\mathrm{tr}\, A = E\big[v^\top A v\big], \qquad v_i = \pm 1, \qquad
      \mathrm{Var}\big[v^\top A v\big] = 2 \sum_{i \ne j} A_{ij}^2$$

    Args:
        f: an oracle, or any callable of a tensor that returns a scalar tensor.
        w: the point.
        samples: how many vectors v, at least 2.
        seed: of the vectors.
        batch: the batch, as f takes it.
        matrix: "hessian", "gauss-newton", "fisher" or "empirical-fisher".

    Raises:
        ValueError: fewer than 2 samples, which have no standard error.

    Example:
        >>> import torch
        >>> from gradus.risk import curvature
        >>> print(curvature.trace(lambda w: (w**3).sum(), torch.tensor([1.0, 2.0])))
        18 ± 0 (100 samples)

    Source: Hutchinson (1990), "A stochastic estimator of the trace of the influence matrix for
        Laplacian smoothing splines".
    """
    if samples < 2:
        raise ValueError(f"samples={samples} have no standard error; give at least 2")
    curvature = curvature_at(f, w, batch, matrix=matrix)
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(samples):
        signs = torch.randint(2, (curvature.dimension,), generator=generator) * 2 - 1
        v = signs.to(curvature.like)
        product = curvature @ v
        flat = product.flat() if isinstance(product, Tensors) else product.reshape(-1)
        found.append(flat.detach().double().dot(v.double()))
    each = torch.stack(found)
    return Trace(each.mean().item(), each.std().item() / samples**0.5, samples)
