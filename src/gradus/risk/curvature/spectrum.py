"""What can be told of a matrix by its products alone: eigenvalues at its ends, and the trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradus.risk.curvature.functions import Matrix, curvature_at
from gradus.risk.curvature.matrix import Curvature
from gradus.risk.tensors import Tensors

Array = NDArray[np.float64]


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
        values, columns = torch.linalg.eigh(curvature.matrix().detach())
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
        from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

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
