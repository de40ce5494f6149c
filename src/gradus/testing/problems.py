"""What methods are tried on: small problems whose minimum and largest curvature are known."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, final

import torch
from torch import Tensor, nn

from gradus.methods.method import Batch, Oracle, Point
from gradus.methods.second_order import like
from gradus.risk.empirical import EmpiricalRisk
from gradus.risk.function import LeastSquares
from gradus.risk.losses import CrossEntropyLoss, MSELoss
from gradus.risk.penalties import SquaredL2
from gradus.risk.precision import narrow
from gradus.risk.tensors import Tensors


@final
class EveryForm:
    r"""A smooth function of a vector ``[d]``, for w in each of its forms, with a penalty.

    $$w \mapsto c\, s^2 f(w / s) + c\, \frac{\lambda}{2} \sum_i w_i^2$$

    A list of tensors is taken as the flat vector, and ``[K, d]`` one row after the other, so that
    no row can know of another.

    Args:
        f: an oracle for ``[d]``, without a penalty.
        strength: $\lambda$; None for no penalty, so that methods which need one refuse.
        scale: c, by which values, gradients and curvatures are larger.
        length: s, by which all points lie further from 0; no curvature changes.
    """

    def __init__(
        self, f: Oracle, strength: float | None, scale: float = 1.0, length: float = 1.0
    ) -> None:
        self.f, self.strength, self.scale, self.length = f, strength, scale, length
        self.penalty = None if strength is None else SquaredL2(scale * strength)

    @property
    def smooth(self) -> EveryForm:
        """The same function without its penalty."""
        return EveryForm(self.f, None, self.scale, self.length)

    def scaled(self, factor: float, length: float = 1.0) -> EveryForm:
        """The same function, its curvature times the factor and its distances times the length."""
        return EveryForm(self.f, self.strength, factor * self.scale, length * self.length)

    def on(self, batch: Batch) -> EveryForm:
        """The function of the examples of a batch alone, where f is an empirical risk."""
        risk: Any = self.f
        alone = EmpiricalRisk(risk.model, risk.loss, risk.data.batch(batch))
        return EveryForm(alone, self.strength, self.scale, self.length)

    def value(self, w: Point, batch: Batch = None) -> Any:
        """The value at w: a scalar, ``[K]`` for ``[K, d]``."""
        value = self._height * _each(lambda w: self.f.value(w / self.length, batch), w)
        return value if self.penalty is None else value + self.penalty.value(w)

    def gradient(self, w: Point, batch: Batch = None) -> Point:
        """The gradient at w, of its form."""
        g = like(w, self._slope * _each(lambda w: self.f.gradient(w / self.length, batch), w))
        return g if self.penalty is None else g + self.penalty.gradient(w)

    def value_and_gradient(self, w: Point, batch: Batch = None) -> tuple[Any, Point]:
        """Both."""

        def joined(w: Tensor) -> Tensor:
            value, g = self.f.value_and_gradient(w / self.length, batch)
            return torch.cat([self._height * value.unsqueeze(0), self._slope * g])

        both = _each(joined, w)
        value, g = (
            both[..., 0],
            narrow(like(w, both[..., 1:].contiguous()), w),
        )  # value may be wider
        if self.penalty is None:
            return value, g
        return value + self.penalty.value(w), g + self.penalty.gradient(w)

    def hvp(self, w: Point, v: Point, batch: Batch = None) -> Point:
        """The Hessian at w, times v."""
        bent = _each(lambda w, v: self.f.hvp(w / self.length, v, batch), w, v)
        product = like(w, self.scale * bent)
        return product if self.penalty is None else product + self.penalty.gradient(v)

    def hessian(self, w: Point, batch: Batch = None) -> Tensor:
        """The Hessian at w, ``[d, d]``."""
        return self._penalised(_each(lambda w: self.f.hessian(w / self.length, batch), w))

    def gauss_newton(self, w: Point, batch: Batch = None) -> Tensor:
        """The Gauss-Newton matrix at w, ``[d, d]``."""
        return self._penalised(_each(lambda w: self.f.gauss_newton(w / self.length, batch), w))

    @property
    def _height(self) -> float:
        return self.scale * self.length**2

    @property
    def _slope(self) -> float:
        return self.scale * self.length

    def _penalised(self, matrix: Tensor) -> Tensor:
        """Scaled, with the Hessian of the penalty."""
        identity = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
        return self.scale * (matrix + (self.strength or 0.0) * identity)


def _each(function: Callable[..., Tensor], *points: Point) -> Tensor:
    """The function of vectors, of each row or of the entries of a list."""
    if isinstance(points[0], Tensors):
        return function(*(point.flat() for point in points))
    if points[0].dim() == 2:
        return torch.stack([function(*row) for row in zip(*points, strict=True)])
    return function(*points)


@dataclass(frozen=True, eq=False)
class Problem:
    r"""A function to minimise, and what is known of it.

    Attributes:
        name: as in :data:`PROBLEMS`.
        f: an oracle, for w as ``[d]``, ``[K, d]`` and :class:`~gradus.risk.tensors.Tensors`.
        start: ``[d]``, where methods begin.
        minimum: the least value of f, None where it is not known.
        convex: whether f is strictly convex.
        largest_lr: $2 / L$, where L bounds the curvature of f wherever f is no higher than at the
            start (for the network: at the start itself). With less, gradient descent descends.
        batches: the examples of f, a quarter of their indices each; empty where it has none.

    Example:
        >>> import gradus
        >>> quadratic = gradus.testing.problem("quadratic")
        >>> method = gradus.methods.GradientDescent(quadratic.largest_lr / 2)
        >>> path = gradus.minimize(quadratic.f, quadratic.start, method, steps=50)
        >>> bool(path.values[-1] - quadratic.minimum < 1e-12)
        True
    """

    name: str
    f: EveryForm
    start: Tensor
    minimum: float | None
    convex: bool
    largest_lr: float
    batches: tuple[Tensor, ...] = ()

    def scaled(self, factor: float, length: float = 1.0) -> Problem:
        r"""The same problem, $c\, s^2 f(w / s)$ for f(w).

        Args:
            factor: c, by which the curvature of f is multiplied.
            length: s, by which the start and the minimiser are.
        """
        return dataclasses.replace(
            self,
            f=self.f.scaled(factor, length),
            start=length * self.start,
            minimum=None if self.minimum is None else factor * length**2 * self.minimum,
            largest_lr=self.largest_lr / factor,
        )


@final
class Quadratic:
    r"""$f(w) = \frac12 (w - c)^T A\,(w - c)$, in closed form."""

    penalty = None

    def __init__(self, matrix: Tensor, centre: Tensor) -> None:
        self.matrix, self.centre = matrix, centre

    @property
    def smooth(self) -> Quadratic:
        """The function itself: it has no penalty."""
        return self

    def value(self, w: Tensor, batch: Batch = None) -> Tensor:
        """f(w)."""
        return (w - self.centre) @ self.gradient(w) / 2

    def gradient(self, w: Tensor, batch: Batch = None) -> Tensor:
        """A (w - c)."""
        return self.matrix @ (w - self.centre)

    def value_and_gradient(self, w: Tensor, batch: Batch = None) -> tuple[Tensor, Tensor]:
        """Both."""
        return self.value(w), self.gradient(w)

    def hvp(self, w: Tensor, v: Tensor, batch: Batch = None) -> Tensor:
        """A v."""
        return self.matrix @ v

    def hessian(self, w: Tensor, batch: Batch = None) -> Tensor:
        """A."""
        return self.matrix

    def gauss_newton(self, w: Tensor, batch: Batch = None) -> Tensor:
        """A: f is the half square of linear residuals."""
        return self.matrix


def _quadratic(
    name: str, curvatures: Tensor, strength: float, dtype: torch.dtype, device: torch.device | str
) -> Problem:
    """A quadratic in a random basis; the start is 1 from the minimum along each of its axes."""
    d, random = len(curvatures), torch.Generator().manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(d, d, generator=random, dtype=torch.float64))
    matrix = basis @ torch.diag(curvatures) @ basis.T
    centre = torch.linspace(-0.5, 0.5, d, dtype=torch.float64)
    exact = EveryForm(Quadratic(matrix, centre), strength)
    end = torch.linalg.solve(exact.hessian(centre), matrix @ centre)
    return Problem(
        name,
        EveryForm(Quadratic(matrix.to(device, dtype), centre.to(device, dtype)), strength),
        (end + basis.sum(dim=1)).to(device, dtype),
        minimum=exact.value(end).item(),
        convex=True,
        largest_lr=2 / (curvatures.max().item() + strength),
    )


def _well_conditioned(dtype: torch.dtype, device: torch.device | str) -> Problem:
    curvatures = torch.linspace(1.0, 3.0, 6, dtype=torch.float64)
    return _quadratic("quadratic", curvatures, 0.5, dtype, device)


def _badly_conditioned(dtype: torch.dtype, device: torch.device | str) -> Problem:
    curvatures = torch.logspace(-2, 0, 6, dtype=torch.float64)
    return _quadratic("badly-conditioned", curvatures, 0.01, dtype, device)


def _rosenbrock(dtype: torch.dtype, device: torch.device | str) -> Problem:
    r"""Rosenbrock's valley in three dimensions; a penalty of strength 0 leaves its minimum at 0.

    f is the mean of four squared residuals. Where it is no higher than at the start, each of them
    is at most $m = 2 \sqrt{f(w_0)}$, so that $|w_i| \le 1 + m$ and
    $|w_{i+1} - w_i^2| \le m / 10$, which bounds the sums of the rows of the Hessian.
    """
    start = torch.tensor([-0.6, 0.5, 0.3], dtype=torch.float64)
    most = torch.linalg.vector_norm(_valley(start)).item()
    curvature = (20 * most + 400 * (1 + most) ** 2 + 101 + 400 * (1 + most)) / 2
    return Problem(
        "rosenbrock",
        EveryForm(LeastSquares(_valley), 0.0),
        start.to(device, dtype),
        minimum=0.0,
        convex=False,
        largest_lr=2 / curvature,
    )


def _valley(w: Tensor) -> Tensor:
    return torch.cat([10 * (w[1:] - w[:-1] ** 2), 1 - w[:-1]])


def _logistic(dtype: torch.dtype, device: torch.device | str) -> Problem:
    """Logistic regression of two classes that overlap; L by the bound 1/2 on that of the loss."""
    random = torch.Generator().manual_seed(1)
    x = torch.randn(24, 3, generator=random, dtype=torch.float64)
    noise = torch.randn(24, generator=random, dtype=torch.float64)
    y, strength = (x[:, 0] - x[:, 1] + noise > 0).long(), 0.1

    def risk(dtype: torch.dtype, device: torch.device | str) -> EmpiricalRisk:
        # On "meta" a model is its form alone, made without a random number: w is given to it.
        model = nn.Linear(3, 2, device="meta")
        data = (x.to(device, dtype), y.to(device))
        return EmpiricalRisk(model, CrossEntropyLoss(), data)

    exact = EveryForm(risk(torch.float64, "cpu"), strength)
    end = torch.zeros(8, dtype=torch.float64)
    for _ in range(8):  # Newton's method from 0: a step more changes nothing
        end = end - torch.linalg.solve(exact.hessian(end), exact.gradient(end))
    inputs = torch.cat([x, torch.ones(24, 1, dtype=torch.float64)], dim=1)
    curvature = torch.linalg.matrix_norm(inputs, 2).item() ** 2 / 24 / 2 + strength
    return Problem(
        "logistic",
        EveryForm(risk(dtype, device), strength),
        torch.linspace(-1.0, 1.0, 8, dtype=torch.float64).to(device, dtype),
        minimum=exact.value(end).item(),
        convex=True,
        largest_lr=2 / curvature,
        batches=torch.arange(len(x)).chunk(4),
    )


def _network(dtype: torch.dtype, device: torch.device | str) -> Problem:
    """A curve fitted by a network of three hidden units."""
    random = torch.Generator().manual_seed(2)
    x = torch.linspace(-2, 2, 16, dtype=torch.float64).unsqueeze(1)
    start = 0.7 * torch.randn(10, generator=random, dtype=torch.float64)

    def risk(dtype: torch.dtype, device: torch.device | str) -> EmpiricalRisk:
        first, last = nn.Linear(1, 3, device="meta"), nn.Linear(3, 1, device="meta")
        model = nn.Sequential(first, nn.Tanh(), last)
        data = (x.to(device, dtype), torch.sin(2 * x).to(device, dtype))
        return EmpiricalRisk(model, MSELoss(), data)

    hessian = EveryForm(risk(torch.float64, "cpu"), 0.01).hessian(start)
    return Problem(
        "network",
        EveryForm(risk(dtype, device), 0.01),
        start.to(device, dtype),
        minimum=None,
        convex=False,
        largest_lr=2 / torch.linalg.matrix_norm(hessian, 2).item(),
        batches=torch.arange(len(x)).chunk(4),
    )


_MAKERS: dict[str, Callable[[torch.dtype, torch.device | str], Problem]] = {
    "quadratic": _well_conditioned,
    "badly-conditioned": _badly_conditioned,
    "logistic": _logistic,
    "rosenbrock": _rosenbrock,
    "network": _network,
}
PROBLEMS: tuple[str, ...] = tuple(_MAKERS)
"""The names of the problems: the convex ones first."""


@lru_cache
def problem(
    name: str, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu"
) -> Problem:
    r"""One of the problems.

    ========================  =================================================================
    ``quadratic``             $\kappa = 2.3$, d = 6
    ``badly-conditioned``     a quadratic, $\kappa = 50$, d = 6
    ``logistic``              two classes by cross entropy, d = 8
    ``rosenbrock``            a curved valley, as least squares of four residuals, d = 3
    ``network``               a curve fitted by three hidden units, d = 10
    ========================  =================================================================

    Each has a squared L2 penalty (of strength 0 in the valley).

    Args:
        name: one of :data:`PROBLEMS`.
        dtype: of its numbers.
        device: where they lie.

    Raises:
        ValueError: there is no problem of this name.
    """
    if name not in _MAKERS:
        raise ValueError(f"there is no problem {name!r}: the problems are {', '.join(PROBLEMS)}")
    return _MAKERS[name](dtype, device)
