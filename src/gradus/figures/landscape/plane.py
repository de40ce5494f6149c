"""The plane in which paths are drawn, and how far they are off it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Size, Tensor

from gradus.errors import InputError

Numbers = NDArray[np.float64]

BLOCK: Final = 2**18
"""Coordinates that are converted to float64 at once."""


@dataclass(frozen=True, eq=False)
class Plane:
    r"""The points $o + a u + b v$.

    Attributes:
        origin: o, ``[d]``.
        directions: u and v, ``[2, d]``: orthonormal, or filter-normalised random ones.
        explained: the share of the variance of the points that lies along each; NaN where the
            directions were not chosen for that.
        labels: of the directions, as axes are labelled.
    """

    origin: Tensor
    directions: Tensor
    explained: tuple[float, float]
    labels: tuple[str, str]

    def coordinates(self, points: Tensor) -> Numbers:
        """Where the orthogonal projections of points lie: a and b, ``[n, 2]``."""
        inner = _product(self.directions, self.directions)
        along = _product(points - self.origin, self.directions)
        return np.asarray(np.linalg.solve(inner, along.T).T)

    def distance(self, points: Tensor) -> Numbers:
        """The distance of each point from the plane, ``[n]``."""
        moved, at = points - self.origin, torch.from_numpy(self.coordinates(points))
        squared = torch.zeros(len(points), dtype=torch.float64)
        for block in _blocks(moved.shape[1]):
            left = moved[:, block].double() - at @ self.directions[:, block].double()
            squared += left.square().sum(1)
        return np.asarray(squared.sqrt().numpy())


def principal_plane(points: Tensor, origin: Tensor) -> Plane:
    r"""The plane through o along the two principal directions of points.

    They are the eigenvectors of $\sum_t (w_t - \bar w)(w_t - \bar w)^T$ with the largest
    eigenvalues, where $\bar w$ is the mean of the points, found from the matrix of inner products,
    ``[n, n]``; the share of the variance along each is its eigenvalue over the sum of all.

    Args:
        points: of one path or of several, ``[n, d]``.
        origin: o, ``[d]``: where the path ends.

    Source: Li, Xu, Taylor, Studer, Goldstein (2018), "Visualizing the loss landscape of neural
        nets", section 7; which, as a sum over $w_t - w_n$, leaves the mean in.
    """
    moved = points - origin
    inner = _product(moved, moved)
    centre = np.eye(len(points)) - 1 / len(points)
    eigenvalues, vectors = np.linalg.eigh(centre @ inner @ centre)
    eigenvalues, vectors = eigenvalues[::-1], (centre @ vectors)[:, ::-1]
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
    labels = ("1st principal direction", "2nd principal direction")
    return Plane(origin, torch.stack(directions), (shares[0], shares[1]), labels)


def random_plane(origin: Tensor, shapes: Sequence[Size]) -> Plane:
    r"""The plane through o along two random directions, filter by filter as long as the weights.

    $$\delta_{ij} \leftarrow \frac{\delta_{ij}}{\|\delta_{ij}\|} \, \|o_{ij}\|$$

    for filter j of layer i: the weights of one unit, or of one channel of a convolution. Parameters
    of one dimension (biases, the scales of a normalisation) stay. So networks that compute the same
    with weights of other scales are seen to be equally sharp.

    Args:
        origin: o, ``[d]``.
        shapes: of the parameters that w consists of.

    Raises:
        InputError: the model has no two such directions.

    Source: Li, Xu, Taylor, Studer, Goldstein (2018), "Visualizing the loss landscape of neural
        nets", section 4.
    """
    random = torch.Generator().manual_seed(0)
    drawn = torch.randn(2, len(origin), generator=random, dtype=torch.float64)
    directions, start = torch.zeros_like(drawn), 0
    for shape in shapes:
        at = slice(start, start + shape.numel())
        start = at.stop
        if len(shape) < 2:
            continue
        filters = origin[at].double().view(shape[0], -1)
        found = drawn[:, at].view(2, shape[0], -1)
        scale = filters.norm(dim=1) / found.norm(dim=2)
        directions[:, at] = (found * scale[:, :, None]).view(2, -1)
    inner = directions @ directions.T
    if torch.linalg.matrix_rank(inner) < 2:
        raise InputError(
            "--directions random: the model has too few weights of two dimensions or more that are "
            "not 0; take principal"
        )
    labels = ("1st random direction, filter-normalised", "2nd random direction, filter-normalised")
    return Plane(origin, directions.to(origin.dtype), (np.nan, np.nan), labels)


def hessian_plane(
    product: Callable[[Tensor], Tensor], origin: Tensor, progress: Callable[[int], None]
) -> Plane:
    r"""The plane through o along which the risk bends most: the top eigenvectors of its Hessian.

    Args:
        product: a vector ``[d]`` to the Hessian at o times it.
        origin: o, ``[d]``.
        progress: called with the number of products taken.

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
