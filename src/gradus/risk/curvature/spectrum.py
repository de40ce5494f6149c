"""Eigenvalues at the ends of the spectrum, and the trace, of a matrix known by its products."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Any, Literal, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradus.risk.curvature.functions import Matrix, curvature_at
from gradus.risk.curvature.matrix import LIMIT, Curvature
from gradus.risk.tensors import Tensors

Array = NDArray[np.float64]

ALL = 2000
"""Up to this dimension the matrix itself (32 MB) is decomposed where Lanczos converges slowly."""


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
    64 dimensions from the matrix itself. It keeps 20 vectors of length d (2 k + 1 if that is more).
    Where 10 restarts were not enough, as with many eigenvalues close to the end (a singular Hessian
    has them), they are taken from the matrix up to 2,000 dimensions; beyond, 100 vectors are kept,
    or as many as 4 GB hold.

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
        ValueError: there are not that many eigenvalues, or k is no whole number; ``which`` or
            ``matrix`` is unknown; the tolerance or the iterations are not positive, or the seed is
            negative; the matrix is not finite, or coarser than float32.
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
    require_whole(k, "k", least=1)
    require_whole(seed, "seed", least=0)
    if iterations is not None:
        require_whole(iterations, "iterations", least=1)
    if tolerance is not None and not tolerance > 0:
        raise ValueError(f"tolerance={tolerance} must be a positive number")
    ends = ("smallest", "largest") if which == "both" else (which,)
    curvature = curvature_at(f, w, batch, matrix=matrix)
    d, wanted = curvature.dimension, k * len(ends)
    if wanted > d:
        raise ValueError(f"k={k} {which} eigenvalues: a matrix of {d} x {d} has only {d}")
    if torch.finfo(curvature.like.dtype).bits < 32:
        raise ValueError(
            f"eigenvalues are not found in {curvature.like.dtype}: give w (and the model) in "
            "float32 or float64"
        )
    if d <= max(64, wanted):
        A = curvature.matrix().detach()
        _require_finite(bool(A.isfinite().all()), matrix)
        values, columns = torch.linalg.eigh(A)
        ends_at = {"largest": range(d - k, d), "smallest": range(k)}
        at = [i for end in ends for i in ends_at[end]]
        return Eigenvalues(values[at], columns[:, at] if vectors else None, d)
    lanczos = _Lanczos(curvature, matrix, tolerance, iterations, seed)
    found = [lanczos.end(k, end) for end in ends]
    like = curvature.like
    return Eigenvalues(
        torch.cat([torch.from_numpy(values) for values, _ in found]).to(like),
        torch.cat([torch.from_numpy(u) for _, u in found], dim=1).to(like) if vectors else None,
        lanczos.products,
    )


def require_whole(number: Any, name: str, *, least: int) -> None:
    """Refuse what is no whole number, or too small.

    Raises:
        ValueError: it is such.
    """
    if type(number) is bool or not isinstance(number, Integral) or int(number) < least:
        raise ValueError(f"{name}={number!r} must be a whole number of at least {least}")


def _require_finite(finite: bool, matrix: Matrix) -> None:
    if not finite:
        raise ValueError(f"the {matrix} matrix is not finite at w: it has no eigenvalues")


class _Lanczos:
    """The Lanczos method on one matrix, in float64 whatever the precision of the products."""

    def __init__(
        self,
        curvature: Curvature[Any],
        matrix: Matrix,
        tolerance: float | None,
        iterations: int | None,
        seed: int,
    ) -> None:
        self.curvature, self.matrix, self.products = curvature, matrix, 0
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
        product: Array = flat.detach().double().cpu().numpy()
        _require_finite(bool(np.isfinite(product).all()), self.matrix)
        return product

    def _norm(self) -> float:
        """The norm of the matrix, estimated by a few steps of the power method; 1 if it is 0."""
        v, norm = self.start, 0.0
        for _ in range(5):
            v = self.product(v / np.linalg.norm(v))
            norm = float(np.linalg.norm(v))
            if norm == 0:
                return 1.0
        return norm

    def end(self, k: int, end: str) -> tuple[Array, Array]:
        """The eigenvalues and vectors at one end of the spectrum."""
        from scipy.sparse.linalg import ArpackNoConvergence

        d, first = self.curvature.dimension, min(10, self.iterations)
        few = min(d, max(2 * k + 1, 20))
        many = min(d, max(few, min(100, LIMIT // (8 * d))))
        try:
            return self._restarted(k, end, few, first)
        except ArpackNoConvergence as error:
            missing = error
        try:
            if self.iterations > first and d <= ALL:
                values, columns = self.spectrum
                at = slice(d - k, d) if end == "largest" else slice(k)
                return values[at], columns[:, at]
            if self.iterations > first:
                return self._restarted(k, end, many, self.iterations - first)
        except ArpackNoConvergence as error:
            missing = error
        raise RuntimeError(
            f"{len(missing.eigenvalues)} of the {k} {end} eigenvalues were found to a tolerance "
            f"of {self.tolerance:.1e} in {self.iterations} iterations: raise tolerance= or "
            "iterations="
        )

    @cached_property
    def spectrum(self) -> tuple[Array, Array]:
        """All eigenvalues and vectors, from the matrix."""
        self.products += self.curvature.dimension
        values, columns = torch.linalg.eigh(self.curvature.matrix().detach().double().cpu())
        return values.numpy(), columns.numpy()

    def _restarted(self, k: int, end: str, vectors: int, restarts: int) -> tuple[Array, Array]:
        """Implicitly restarted Lanczos with a basis of ``vectors``, at most ``restarts`` times."""
        from scipy.sparse.linalg import LinearOperator, eigsh

        # ARPACK's tolerance is relative to each eigenvalue, which may be 0. Moved away from 0 by
        # the norm of the matrix, all those at this end are of its order.
        shift = self.norm if end == "largest" else -self.norm
        d = self.curvature.dimension
        operator = LinearOperator(
            (d, d), matvec=lambda v: self.product(v) + shift * v, dtype=np.float64
        )
        values, columns = eigsh(
            operator,
            k,
            which="LA" if end == "largest" else "SA",
            v0=self.start,
            ncv=vectors,
            tol=self.tolerance,
            maxiter=restarts,
        )
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
        ValueError: fewer than 2 samples, which have no standard error; or a negative seed.

    Example:
        >>> import torch
        >>> from gradus.risk import curvature
        >>> print(curvature.trace(lambda w: (w**3).sum(), torch.tensor([1.0, 2.0])))
        18 ± 0 (100 samples)

    Source: Hutchinson (1990), "A stochastic estimator of the trace of the influence matrix for
        Laplacian smoothing splines".
    """
    require_whole(seed, "seed", least=0)
    require_whole(samples, "samples", least=1)
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
