"""The plane in which paths are drawn, and how far they are off it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradus.errors import InputError

Numbers = NDArray[np.float64]

BLOCK: Final = 2**18
"""So many coordinates are taken to float64 at once."""


@dataclass(frozen=True, eq=False)
class Plane:
    r"""The points $o + a u + b v$, with u and v orthonormal.

    Attributes:
        origin: o, ``[d]``.
        directions: u and v, ``[2, d]``.
        explained: the share of the squared length of all $w_t - o$ along each; NaN where the
            directions were not chosen for that.
        labels: of the directions, as axes are labelled.
    """

    origin: Tensor
    directions: Tensor
    explained: tuple[float, float]
    labels: tuple[str, str]

    def coordinates(self, points: Tensor) -> Numbers:
        """Where the projections of points lie: a and b, ``[n, 2]``."""
        return _product(points - self.origin, self.directions)

    def distance(self, points: Tensor) -> Numbers:
        """The distance of each point from the plane, ``[n]``."""
        moved, at = points - self.origin, torch.from_numpy(self.coordinates(points))
        squared = torch.zeros(len(points), dtype=torch.float64)
        for block in _blocks(moved.shape[1]):
            left = moved[:, block].double() - at @ self.directions[:, block].double()
            squared += left.square().sum(1)
        return np.asarray(squared.sqrt().numpy())


def principal_plane(points: Tensor, origin: Tensor) -> Plane:
    r"""The plane through o that holds most of a path: its two principal directions.

    They are the eigenvectors of $\sum_t (w_t - o)(w_t - o)^T$ with the largest eigenvalues, found
    from the matrix of inner products, ``[n, n]``.

    Args:
        points: of one path or of several, ``[n, d]``.
        origin: o, ``[d]``: where the path ends.

    Source: Li, Xu, Taylor, Studer, Goldstein (2018), "Visualizing the loss landscape of neural
        nets", section 7.
    """
    moved = points - origin
    eigenvalues, vectors = np.linalg.eigh(_product(moved, moved))
    eigenvalues, vectors = eigenvalues[::-1], vectors[:, ::-1]
    total = max(float(eigenvalues.clip(0).sum()), 1e-300)
    directions: list[Tensor] = []
    for at in range(2):
        if at < len(eigenvalues) and eigenvalues[at] > 1e-12 * total:
            found = torch.from_numpy(vectors[:, at].copy()).to(moved.dtype) @ moved
        else:  # the path lies on a line, or is a point
            random = torch.Generator().manual_seed(at)
            found = torch.randn(moved.shape[1], generator=random, dtype=moved.dtype)
        directions.append(_unit(found, directions))
    shares = [float(max(value, 0) / total) for value in eigenvalues[:2]] + [0.0, 0.0]
    words = ("1st principal direction", "2nd principal direction")
    return Plane(origin, torch.stack(directions), (shares[0], shares[1]), words)


def hessian_plane(
    product: Callable[[Tensor], Tensor], origin: Tensor, progress: Callable[[int], None]
) -> Plane:
    r"""The plane through o along which the risk bends most: the top eigenvectors of its Hessian.

    Args:
        product: a vector ``[d]`` to the Hessian at o times it.
        origin: o, ``[d]``.
        progress: told how many products were taken.

    Raises:
        InputError: they cannot be found: the Hessian is 0 there, or not finite.
    """
    from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

    d, taken = len(origin), 0

    def times(vector: Numbers) -> Numbers:
        nonlocal taken
        taken += 1
        progress(taken)
        v = torch.from_numpy(np.ascontiguousarray(vector.reshape(-1))).to(origin.dtype)
        found = product(v).double()
        if not found.isfinite().all():
            raise InputError("--directions hessian: it is not finite where the path ends")
        return np.asarray(found.numpy())

    if d <= 3:  # too small for Lanczos: the matrix itself
        matrix = np.stack([times(column) for column in np.eye(d)])
        eigenvalues, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
        eigenvalues, vectors = eigenvalues[-2:], vectors[:, -2:]
    else:
        start = np.random.default_rng(0).standard_normal(d)
        operator = LinearOperator((d, d), matvec=times, dtype=np.float64)
        try:
            eigenvalues, vectors = eigsh(operator, k=2, which="LA", v0=start, tol=1e-3)
        except ArpackError:  # of a matrix that is 0, not finite, or too hard
            raise InputError(
                "--directions hessian: its eigenvectors cannot be found where the path ends; "
                "take principal"
            ) from None
    first = _unit(torch.from_numpy(vectors[:, -1].copy()).to(origin.dtype), [])
    second = _unit(torch.from_numpy(vectors[:, -2].copy()).to(origin.dtype), [first])
    words = tuple(
        f"eigenvector of the Hessian, {value:.3g}" for value in (eigenvalues[-1], eigenvalues[-2])
    )
    return Plane(origin, torch.stack([first, second]), (np.nan, np.nan), (words[0], words[1]))


def _unit(vector: Tensor, before: Sequence[Tensor]) -> Tensor:
    """The part of a vector that is orthogonal to those before it, of length 1."""
    exact = vector.double()
    for _ in range(2):  # the second time for what rounding left
        for other in before:
            exact = exact - (exact @ other.double()) * other.double()
    unit: Tensor = exact / exact.norm()
    return unit.to(vector.dtype)


def _product(left: Tensor, right: Tensor) -> Numbers:
    """The inner products of rows, added up in float64."""
    total = torch.zeros(len(left), len(right), dtype=torch.float64)
    for block in _blocks(left.shape[1]):
        total += left[:, block].double() @ right[:, block].double().T
    return np.asarray(total.numpy())


def _blocks(d: int) -> Iterator[slice]:
    for start in range(0, d, BLOCK):
        yield slice(start, start + BLOCK)
