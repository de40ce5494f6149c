"""A list of tensors, such as the parameters of a module, with the arithmetic of one vector w."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Self, final

from gradus.importing import is_tensor

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    Scalar = float | Tensor
TINY = 2.0**-24
"""The smallest number > 0 of float16."""


class DeferredVector(ABC):
    r"""A vector whose products are deferred until they are added to something.

    A product or quotient is a term ``factor * a``, ``factor * a * b`` or ``factor * a / b``. So
    ``w - lr * g`` and ``w - lr * m / d`` are one pass over memory each, and the same operations as
    ``w.add_(g, alpha=-lr)`` and ``w.addcdiv_(m, d, value=-lr)``, which torch.optim uses, to the
    bit. No operation changes its operands.
    """

    __slots__ = ("_factor", "_operator", "_other", "_values")

    def __init__(
        self,
        values: Any,
        _factor: float = 1.0,
        _operator: Literal["", "*", "/"] = "",
        _other: Any = None,
    ) -> None:
        self._values = values
        self._factor, self._operator, self._other = _factor, _operator, _other

    @classmethod
    @abstractmethod
    def _apply(cls, operation: str, values: Any, *others: Any, **numbers: float) -> Any:
        """What :func:`multi_tensor` of the operation makes of the values."""

    @property
    @abstractmethod
    def dtypes(self) -> set[torch.dtype]:
        """The types of the tensors."""

    @property
    def _has_float16(self) -> bool:
        import torch

        return torch.float16 in self.dtypes

    @property
    def values(self) -> Any:
        """The entries, with deferred products evaluated."""
        if self._operator or self._factor != 1.0:
            self._values = self._evaluated()
            self._factor, self._operator, self._other = 1.0, "", None
        return self._values

    @property
    def parts(self) -> tuple[Any, float, str, Any]:
        """What the type is called with to give the same vector, with nothing evaluated."""
        return self._values, self._factor, self._operator, self._other

    def _evaluated(self) -> Any:
        if not self._operator:
            return self._apply("mul", self._values, self._factor)
        operation = "mul" if self._operator == "*" else "div"
        product = self._apply(operation, self._values, self._other)
        return product if self._factor == 1.0 else self._apply("mul", product, self._factor)

    def _plus(self, term: Self) -> Any:
        """One pass: the values, plus a term that may be deferred."""
        is_deferred = self._operator or self._factor != 1.0
        values = self._evaluated() if is_deferred else self._values
        if not term._operator:
            if 0 < abs(term._factor) < TINY and self._has_float16:
                # On a CPU torch rounds alpha to the type of the list, here to 0.
                return self._apply("add", values, term.values, alpha=1.0)
            return self._apply("add", values, term._values, alpha=term._factor)
        operation = "addcmul" if term._operator == "*" else "addcdiv"
        return self._apply(operation, values, term._values, term._other, value=term._factor)

    def __add__(self, other: Self | float) -> Self:
        if type(other) is type(self):
            return type(self)(self._plus(other))
        return type(self)(self._apply("add", self.values, other))

    __radd__ = __add__

    def __neg__(self) -> Self:
        return self * -1.0

    def __sub__(self, other: Self | float) -> Self:
        return self + (-other)

    def __mul__(self, other: Self | Scalar) -> Self:
        if type(other) is type(self):
            values, factor = self._without_factor()
            return type(self)(values, factor, "*", other.values)
        if is_tensor(other):
            return type(self)(self._apply("mul", self.values, other))
        return type(self)(self._values, self._factor * other, self._operator, self._other)  # type: ignore[arg-type]

    __rmul__ = __mul__

    def __truediv__(self, other: Self | Scalar) -> Self:
        if type(other) is type(self):
            values, factor = self._without_factor()
            return type(self)(values, factor, "/", other.values)
        return type(self)(self._apply("div", self.values, other))

    def __rtruediv__(self, other: Scalar) -> Self:
        """A number by each entry, rounded as torch rounds it: the reciprocal, times the number."""
        return type(self)(self._apply("reciprocal", self.values)) * other

    def _without_factor(self) -> tuple[Any, float]:
        """A term of one list, as that list and its factor."""
        return (self.values, 1.0) if self._operator else (self._values, self._factor)

    def lerp(self, end: Self, weight: Scalar) -> Self:
        """``(1 - weight) * self + weight * end``."""
        if is_tensor(weight):
            return self + (end - self) * weight
        return type(self)(self._apply("lerp", self.values, end.values, weight))

    def to(self, dtype: torch.dtype) -> Self:
        """The same vector in another type."""
        return type(self)(self._apply("to", self.values, dtype))

    def square(self) -> Self:
        """The elementwise square."""
        return self * self

    def sqrt(self) -> Self:
        """The elementwise square root."""
        return type(self)(self._apply("sqrt", self.values))

    def abs(self) -> Self:
        """The elementwise absolute value."""
        return type(self)(self._apply("abs", self.values))

    def sign(self) -> Self:
        """The elementwise sign, 0 at 0."""
        return type(self)(self._apply("sign", self.values))

    def clamp(self, *, min: float) -> Self:  # noqa: A002  (torch's own name for it)
        """The elementwise maximum with a number."""
        return type(self)(self._apply("clamp_min", self.values, min))

    def maximum(self, other: Self) -> Self:
        """The elementwise maximum."""
        return type(self)(self._apply("maximum", self.values, other.values))


@final
class Tensors(DeferredVector):
    r"""A vector $w \in R^d$ kept as a list of tensors, with the arithmetic of one flat tensor.

    A method written as ``w - lr * g`` moves a flat vector or the parameters of a module by the
    same line: here every operation is one multi-tensor (``torch._foreach_*``) call.

    Args:
        values: the tensors, of any shapes.

    Example:
        >>> import torch
        >>> from gradus.risk.tensors import Tensors
        >>> w = Tensors([torch.ones(2, 2), torch.ones(3)])
        >>> (w - 0.5 * w).sum()
        tensor(3.5000)
    """

    __slots__ = ()

    def __init__(
        self,
        values: Sequence[Tensor],
        _factor: float = 1.0,
        _operator: Literal["", "*", "/"] = "",
        _other: Sequence[Tensor] | None = None,
    ) -> None:
        super().__init__(tuple(values), _factor, _operator, _other)

    @classmethod
    def _apply(
        cls, operation: str, values: Sequence[Tensor], *others: Any, **numbers: float
    ) -> Sequence[Tensor]:
        import torch

        # torch cannot differentiate its multi-tensor forms in a factor that is a tensor, nor
        # addcdiv where one of the tensors is 0-d (2.13): there the tensors go one by one.
        if others and is_tensor(others[-1]):
            # Beside a 0-d tensor of w a wider number would count for more than one.
            one_by_one = [getattr(torch, operation)(value, *others) for value in values]
            return [made.to(v.dtype) for made, v in zip(one_by_one, values, strict=True)]
        if operation == "addcdiv" and any(v.requires_grad for vs in (values, *others) for v in vs):
            rows = zip(values, *others, strict=True)
            return [torch.addcdiv(w, a, b, value=numbers["value"]) for w, a, b in rows]
        results: Sequence[Tensor] = multi_tensor(operation)(values, *others, **numbers)
        return results

    @property
    def dtypes(self) -> set[torch.dtype]:
        """The types of the tensors."""
        return {value.dtype for value in self._values}

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """What torch's functions make of it, so that methods may call them on points."""
        import torch

        if function is torch.zeros_like:
            return zeros_like(*args)
        if function in elementwise() and isinstance(args[0], Tensors):
            return getattr(args[0], function.__name__)(*args[1:], **(kwargs or {}))
        known = ", ".join(sorted(each.__name__ for each in elementwise()))
        raise TypeError(
            f"torch.{function.__name__} does not take Tensors, a vector kept as a list: it has "
            f"+, -, *, /, zeros_like, norm, {known}"
        )

    @property
    def requires_grad(self) -> bool:
        """Whether any of the tensors takes part in automatic differentiation."""
        return any(value.requires_grad for value in (*self._values, *(self._other or ())))

    def sum(self) -> Tensor:
        """The sum of all entries of all tensors, a 0-d tensor of float32 at least."""
        import torch

        wide = [torch.promote_types(value.dtype, torch.float32) for value in self.values]
        sums = [value.sum(dtype=dtype) for value, dtype in zip(self.values, wide, strict=True)]
        return torch.stack(sums).sum()

    def norm(self) -> Tensor:
        """The Euclidean norm of the vector, a 0-d tensor."""
        import torch

        wide = [value.to(torch.promote_types(value.dtype, torch.float32)) for value in self.values]
        return Tensors(wide).square().sum().sqrt()

    def detach(self) -> Tensors:
        """The same values, outside of automatic differentiation."""
        return Tensors([value.detach() for value in self.values])

    def flat(self) -> Tensor:
        """All entries as one tensor ``[d]`` (a copy)."""
        import torch

        return torch.cat([value.reshape(-1) for value in self.values])

    def __repr__(self) -> str:
        return f"Tensors({[tuple(value.shape) for value in self._values]})"


def inner(a: Any, b: Any) -> Tensor:
    """The inner product of two points, 0-d; of K runs ``[K, d]`` theirs, ``[K, 1]``.

    Example:
        >>> import torch
        >>> inner(torch.ones(3), torch.ones(3)), inner(torch.ones(2, 3), torch.ones(2, 3))
        (tensor(3.), tensor([[3.],
                [3.]]))
        >>> inner(Tensors([torch.ones(2, 2)]), Tensors([torch.ones(2, 2)]))
        tensor(4.)
    """
    product: Any = a * b
    found: Tensor = (
        product.sum() if isinstance(a, Tensors) else product.sum(dim=-1, keepdim=a.ndim > 1)
    )
    return found


def norm(a: Any) -> Tensor:
    """The Euclidean norm of a point, 0-d; of K runs ``[K, d]`` theirs, ``[K, 1]``."""
    if isinstance(a, Tensors):
        return a.norm()
    import torch

    found: Tensor = torch.linalg.vector_norm(a, dim=-1, keepdim=a.ndim > 1)
    return found


def multi_tensor(operation: str) -> Callable[..., Any]:
    """``torch._foreach_<operation>``, or what torch has no multi-tensor form of."""
    if operation == "to":
        return _converted
    import torch

    found: Callable[..., Any] = getattr(torch, f"_foreach_{operation}")
    return found


def _converted(values: Sequence[Tensor], dtype: torch.dtype) -> Sequence[Tensor]:
    return [value.to(dtype) for value in values]


@cache
def elementwise() -> frozenset[Any]:
    """The functions of torch that points take as they take the method of the same name."""
    import torch

    return frozenset({
        torch.abs, torch.clamp, torch.lerp, torch.maximum, torch.sign, torch.sqrt,
        torch.square, torch.sum,
    })  # fmt: skip


def zeros_like(w: Any) -> Any:
    """The zero vector of the space in which w lies: a tensor, or :class:`Tensors`."""
    import torch

    if isinstance(w, Tensors):
        return Tensors([torch.zeros_like(value) for value in w.values])
    return torch.zeros_like(w)
