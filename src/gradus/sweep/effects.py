r"""How much of the difference between configurations an option explains, beyond chance.

The places of the configurations are explained by an additive model of their options, by least
squares: a polynomial of an option that has an order, an indicator for each value of one that has
none. An option is judged by what the fit loses without it, and held against permutations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

LEVEL: Final = 0.02
"""The chance, at most, that pure noise gives any option of a sweep a share."""

PERMUTATIONS: Final = 1999

CROSSED: Final = 400
"""Combinations, at most, among which options are judged together with others too."""

CHUNK: Final = 4_000_000
"""How many numbers the permutations of one batch hold at most."""


@dataclass(frozen=True, eq=False)
class Factor:
    """An option as it varies over configurations.

    Attributes:
        name: of the option.
        values: ``[configurations]``: its values as numbers, NaN where it is not taken; codes where
            it has no order.
        ordered: whether greater and less mean something.
    """

    name: str
    values: Numbers
    ordered: bool


@dataclass(frozen=True)
class Effect:
    """What is known of the effect of an option.

    Attributes:
        name: of the option.
        share: omega squared: the part of the variance between configurations that it accounts
            for, less what noise would; None where it cannot be told from noise.
        p: the chance of such an effect if the option had none, corrected for the number of
            options; None where there are too few configurations to say.
    """

    name: str
    share: float | None
    p: float | None


def scores(seeds: NDArray[np.int64], configurations: NDArray[np.int64], worth: Numbers) -> Numbers:
    """``[configurations, seeds]``: places from 0 (best) to 1 among the runs of the same seed.

    Ranked within seeds, what all runs of a seed have in common does not count. Equal runs share
    the mean of their places; a run that is missing is NaN.

    Args:
        seeds: ``[runs]``: the seed of each, as codes from 0.
        configurations: ``[runs]``: the configuration of each, as codes from 0.
        worth: ``[runs]``: less is better; equal for runs that are equally bad.

    Example:
        >>> scores(np.array([0, 0, 0]), np.array([0, 1, 2]), np.array([0.3, 0.1, np.inf]))
        array([[0.5       ],
               [0.16666667],
               [0.83333333]])
    """
    table = np.full((int(configurations.max()) + 1, int(seeds.max()) + 1), np.nan)
    for seed in range(table.shape[1]):
        here = seeds == seed
        _, of, many = np.unique(worth[here], return_inverse=True, return_counts=True)
        middle = np.cumsum(many) - many / 2  # equals share the mean of their places
        table[configurations[here], seed] = middle[of] / max(1, int(here.sum()))
    return table


def effects(
    factors: Sequence[Factor],
    places: Numbers,
    *,
    independent: bool = True,
    permutations: int = PERMUTATIONS,
    level: float = LEVEL,
) -> list[Effect]:
    r"""The effects of options on the places of configurations, the largest first.

    With the residual sum of squares $R$ of the additive model, and $R_{-j}$ without option j,

    $$F_j = \frac{(R_{-j} - R) / d_j}{R / r}, \qquad
      \omega_j^2 = \frac{R_{-j} - R - d_j s^2}{T + s^2}, \qquad s^2 = R / r,$$

    where d_j and r are degrees of freedom and T is the total sum of squares. F is compared with
    its values after permutations of the places; the chances are corrected for the number of
    options by Holm's procedure. An option has a share only where the corrected chance is at most
    ``level``: since permutations of pure noise are equally likely, at most that part of all sweeps
    without any effect names one.

    - Where every combination of values was trained with the same seeds, two or more, and to its
      end, runs are permuted within each seed, and $s^2$ is that between runs; else configurations
      are, by their mean over seeds: that the runs of one were pruned together, at whatever place,
      says nothing of how far runs of one configuration differ. (Combinations drawn at random may
      differ by more than an additive model says, which runs of the same configuration share.) In
      the first case an option is also judged together with its interactions, by a model in which
      every combination stands for itself: a momentum that helps at one learning rate and harms at
      another matters. The smaller chance counts, doubled; the share is that of the model which
      gave it.
    - An ordered option has a polynomial in the rank of its values, of degree 3, or less where few
      configurations are left to tell the noise. Where the method varies, each method has its own:
      the learning rates of two methods are not the same quantity.

    Args:
        factors: the options that vary, over all configurations.
        places: ``[configurations, seeds]``, as from `scores`.
        independent: whether the place of a run was its own doing; not where the runs of a
            configuration were pruned together.
        permutations: how many.
        level: the chance, at most, of a share where there is no effect at all.

    Source: Hays (1963), Statistics for psychologists, for omega squared; Anderson, ter Braak
    (2003), "Permutation tests for multi-factorial analysis of variance"; Holm (1979), "A simple
    sequentially rejective multiple test procedure".

    Example:
        >>> random = np.random.default_rng(0)
        >>> lr, momentum = random.uniform(size=(2, 40))
        >>> loss = (lr - 0.5) ** 2 + 0.01 * random.standard_normal(40)
        >>> places = scores(np.zeros(40, int), np.arange(40), loss)
        >>> found = effects([Factor("lr", lr, True), Factor("momentum", momentum, True)], places)
        >>> [(effect.name, effect.share is None) for effect in found]
        [('lr', False), ('momentum', True)]
    """
    untold = [Effect(factor.name, None, None) for factor in factors]
    if not factors or len(places) < 2:
        return untold
    repeated = independent and places.shape[1] > 1 and not np.isnan(places).any()
    paired = repeated and _crossed(factors)
    means = np.nanmean(places, axis=1)
    seeds = places.shape[1] if paired else 1
    additive = _Model.richest(factors, seeds)
    if additive is None or np.ptp(means) == 0:
        return untold
    models = [additive]
    if paired and len(factors) > 1 and len(means) <= CROSSED and seeds > 1:
        models.append(_Model.saturated(factors, seeds))
    y = places if paired else means[:, None]
    random = np.random.default_rng(0)
    observed = [model.fit(y[..., None]) for model in models]
    above = np.ones((len(models), len(factors)))
    drawn = max(1, min(permutations, CHUNK // y.size))
    for done in range(0, permutations, drawn):
        some = min(drawn, permutations - done)
        permuted = random.permuted(np.broadcast_to(y[..., None], (*y.shape, some)), axis=0)
        for k, model in enumerate(models):
            reached = model.fit(permuted)[0] >= observed[k][0] * (1 - 1e-9)
            above[k] += reached.sum(axis=1)
    freedom = np.stack([model.freedom for model in models])
    chances = np.where(freedom > 0, above / (permutations + 1), np.nan)
    total = ((means - means.mean()) ** 2).sum()
    variance = np.array([noise[0] for _, _, noise in observed])[:, None] / seeds
    reduction = np.stack([reduction[:, 0] for _, reduction, _ in observed]) / seeds
    shares = (reduction - freedom * variance) / (total + variance)
    # Either question may answer: whether it matters by itself, or together with others too.
    which = len(models) - 1 - np.argmin(chances[::-1], axis=0)
    columns = np.arange(len(factors))
    corrected = _holm(np.minimum(len(models) * chances[which, columns], 1.0))
    share = shares[which, columns]
    found = [
        Effect(factor.name, None, None)
        if np.isnan(chance)
        else Effect(
            factor.name,
            float(np.clip(part, 0, 1)) if chance <= level and part > 0 else None,
            float(chance),
        )
        for factor, part, chance in zip(factors, share, corrected, strict=True)
    ]
    return sorted(found, key=lambda e: (-(e.share or 0.0), 2.0 if e.p is None else e.p))


@dataclass(frozen=True, eq=False)
class _Model:
    """A linear model of options: orthonormal bases of all of them, and of all but each.

    Attributes:
        whole: ``[configurations, df]``; the constant is not in it.
        without: the same without each option.
        freedom: ``[options]``: degrees of freedom of each.
        residual: degrees of freedom of the noise.
        seeds: of every configuration.
    """

    whole: Numbers
    without: tuple[Numbers, ...]
    freedom: NDArray[np.int64]
    residual: int
    seeds: int

    @staticmethod
    def richest(factors: Sequence[Factor], seeds: int) -> _Model | None:
        """The richest model that leaves enough of the configurations to tell the noise by."""
        n = len(factors[0].values)
        method = next((f for f in factors if f.name == "method"), None)
        nests = [method, None] if method is not None else [None]
        for degree, nest in product((3, 2, 1), nests):
            columns = [_columns(factor, degree, nest) for factor in factors]
            whole = _basis(columns, n)
            residual = n * seeds - seeds - whole.shape[1]
            rich = nest is not None or (degree == 3 and not _crossed(factors))
            if residual >= max(3, (n * seeds - seeds) * (2 if rich else 1) // 3):
                without = tuple(
                    _basis([c for k, c in enumerate(columns) if k != j], n)
                    for j in range(len(columns))
                )
                freedom = np.array([whole.shape[1] - w.shape[1] for w in without])
                return _Model(whole, without, freedom, residual, seeds)
        return None

    @staticmethod
    def saturated(factors: Sequence[Factor], seeds: int) -> _Model:
        """Every combination for itself; without an option, every combination of the others."""
        n = len(factors[0].values)
        codes = [np.unique(factor.values, return_inverse=True)[1] for factor in factors]
        bases = []
        for j in range(len(factors)):
            others = np.stack([c for k, c in enumerate(codes) if k != j])
            groups = np.unique(others, axis=1, return_inverse=True)[1].reshape(-1)
            indicators = np.eye(groups.max() + 1)[groups]
            bases.append(indicators / np.sqrt(indicators.sum(axis=0)))
        freedom = np.array([n - basis.shape[1] for basis in bases])
        return _Model(np.eye(n), tuple(bases), freedom, (n - 1) * (seeds - 1), seeds)

    def fit(self, y: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        """F and the reduction of the sum of squares, ``[options, sets]``; the variance of noise.

        Args:
            y: ``[configurations, seeds, sets]``.
        """
        centred = y - y.mean(axis=0)
        total, sums = (centred**2).sum(axis=(0, 1)), centred.sum(axis=1)

        # The options of a configuration are those of all its seeds: only the sums take part.
        def explained(basis: Numbers) -> Numbers:
            found: Numbers = ((basis.T @ sums) ** 2).sum(axis=0) / self.seeds
            return found

        whole = explained(self.whole)
        noise = np.maximum(total - whole, 1e-12 * total) / self.residual
        reduction = np.stack([whole - explained(basis) for basis in self.without])
        with np.errstate(divide="ignore", invalid="ignore"):
            statistic = reduction / np.maximum(self.freedom, 1)[:, None] / noise
        return np.nan_to_num(statistic), reduction, noise


def _columns(factor: Factor, degree: int, nest: Factor | None) -> Numbers:
    """The columns of an option, 0 where it is not taken; apart for each value of ``nest``."""
    if nest is not None and factor is not nest:
        parts = [
            _columns(
                Factor(factor.name, np.where(nest.values == at, factor.values, np.nan),
                       factor.ordered), degree, None,
            )
            for at in np.unique(nest.values)
        ]  # fmt: skip
        return np.concatenate(parts, axis=1)
    taken = ~np.isnan(factor.values)
    named, codes = np.unique(factor.values[taken], return_inverse=True)
    n, levels = len(factor.values), len(named)
    if levels < 2:
        return np.zeros((n, 0))
    if factor.ordered:
        at = 2 * codes / (levels - 1) - 1
        inner = legendre.legvander(at, min(degree, levels - 1))[:, 1:]
    else:
        inner = np.eye(levels)[codes][:, 1:]
    columns = np.zeros((n, inner.shape[1]))
    columns[taken] = inner - inner.mean(axis=0)
    return columns


def _basis(columns: Sequence[Numbers], n: int) -> Numbers:
    """``[n, df]``: an orthonormal basis of what these columns span, besides the constant."""
    matrix = np.concatenate([np.zeros((n, 1)), *columns], axis=1)
    u, s, _ = np.linalg.svd(matrix - matrix.mean(axis=0), full_matrices=False)
    return np.asarray(u[:, s > 1e-9 * max(1.0, s[0])])


def _crossed(factors: Sequence[Factor]) -> bool:
    """Whether there is every combination of the values."""
    codes = [np.unique(factor.values, return_inverse=True) for factor in factors]
    size = int(np.prod([len(named) for named, _ in codes]))
    return len(factors[0].values) == size == len(np.unique([c for _, c in codes], axis=1).T)


def _holm(p: Numbers) -> Numbers:
    """Chances corrected by Holm's procedure; NaN stays."""
    corrected = np.full(len(p), np.nan)
    order = [int(j) for j in np.argsort(p) if not np.isnan(p[j])]
    worst = 0.0
    for k, j in enumerate(order):
        worst = max(worst, min(1.0, (len(order) - k) * p[j]))
        corrected[j] = worst
    return corrected
