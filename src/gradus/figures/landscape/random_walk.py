"""How much of a random walk its two principal directions hold: what paths are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import block_diag, eigh
from torch import Tensor

Numbers = NDArray[np.float64]

DRAWS: Final = 10
"""Walks over which the shares are averaged."""


def random_walk_shares(paths: Sequence[Tensor]) -> tuple[float, float]:
    r"""The shares of variance along the two principal directions of random walks like these paths.

    A walk starts where its path starts and makes moves of the same lengths, each in a direction
    drawn uniformly from the sphere in $R^d$. In many dimensions n points with moves of one length
    have along their kth direction the share

    $$\frac{6}{(n^2 - 1)\,(2 - 2 \cos(\pi k / n))} \to \frac{6}{\pi^2 k^2},$$

    61 % and 15 %; in few, and where some moves are much longer than others, they have more.

    Args:
        paths: the points of each, ``[n, d]``.

    Example:
        >>> import torch
        >>> from gradus.figures.landscape.random_walk import random_walk_shares
        >>> first, second = random_walk_shares([torch.arange(100.0)[:, None].expand(100, 5000)])
        >>> round(first, 2), round(second, 2)
        (0.61, 0.15)

    Source: Antognini, Sohl-Dickstein (2018), "PCA of high dimensional random walks with comparison
        to neural network training", section 2.
    """
    # A walk is the sums of its moves. Those of all paths stand in one list, before those of each
    # the way from the start of the first path to its own.
    blocks = []
    lengths: list[float] = []
    for path in paths:
        moves = torch.cat([path[:1] - paths[0][:1], path.diff(dim=0)])
        lengths += [float(move.double().norm()) for move in moves]
        blocks.append(np.tri(len(moves)))
    sums, scale = block_diag(*blocks), np.array(lengths)[:, None]
    d, random = paths[0].shape[1], np.random.default_rng(0)
    walks = (sums @ (scale * _directions(len(scale), d, random)) for _ in range(DRAWS))
    first, second = np.mean([_shares(walk) for walk in walks], axis=0)
    return float(first), float(second)


def _directions(count: int, d: int, random: np.random.Generator) -> Numbers:
    r"""Unit vectors drawn uniformly in $R^d$, rotated into the first ``count`` coordinates.

    Of standard normal rows the rotation leaves Bartlett's triangle: $\chi$ of d, d - 1, ... degrees
    of freedom on the diagonal, standard normal numbers below it.
    """
    if d <= count:
        drawn = random.standard_normal((count, d))
    else:
        drawn = np.tril(random.standard_normal((count, count)), -1)
        np.fill_diagonal(drawn, np.sqrt(random.chisquare(d - np.arange(count))))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def _shares(points: Numbers) -> Numbers:
    """The shares of the variance of points along their two principal directions."""
    centred = points - points.mean(0)
    inner = centred @ centred.T
    n = len(inner)
    largest = eigh(inner, eigvals_only=True, subset_by_index=(max(n - 2, 0), n - 1))[::-1]
    return np.append(largest, [0.0, 0.0])[:2] / max(float(np.trace(inner)), 1e-300)
