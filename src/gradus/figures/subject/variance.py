"""How much a mini-batch gradient scatters: the 1/B law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradus.figures import style
from gradus.figures.curve_styles import STYLES
from gradus.figures.subject.datasets import iris_petals, linear_regression

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Numbers = NDArray[np.float64]

POINT: Final = (0.9, -0.6)
SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 149)
SHOWN: Final = (1, 8, 64)
"""Batch sizes whose gradients are drawn one by one."""


@dataclass(frozen=True, eq=False)
class Variance:
    r"""The spread of mini-batch gradients $g_B$ around the gradient $\nabla f$ at one point.

    $$E\,\|g_B - \nabla f\|^2 = \frac{\sigma^2}{B} \ \text{(with replacement)}, \qquad
      \frac{\sigma^2}{B} \cdot \frac{N - B}{N - 1} \ \text{(without)}, \qquad
      \sigma^2 = \frac{1}{N} \sum_i \|\nabla f(w; \xi_i) - \nabla f(w)\|^2$$

    Attributes:
        n: N, the number of examples.
        sizes: ``[k]``, batch sizes B.
        with_replacement: ``[k]``, the mean of $\|g_B - \nabla f\|^2$ over the draws.
        without: ``[k]``, the same without replacement.
        draws: over how many batches of each size.
        sigma2: $\sigma^2$, from the gradients of the single examples.
        full: ``[2]``, the gradient on all examples.
        clouds: gradients ``[draws, 2]`` without replacement, of some batch sizes.
    """

    n: int
    sizes: NDArray[np.int64]
    with_replacement: Numbers
    without: Numbers
    draws: int
    sigma2: float
    full: Numbers
    clouds: dict[int, Numbers]

    def law(self, *, replacement: bool) -> Numbers:
        """The variance that is to be expected, ``[k]``."""
        left = 1.0 if replacement else (self.n - self.sizes) / (self.n - 1)
        return np.asarray(self.sigma2 / self.sizes * left)


def facts(draws: int = 400, seed: int = 0) -> Variance:
    """The facts of the figure: batches of 150 irises, a regression on two features.

    Example:
        >>> found = facts(draws=20)
        >>> found.without[-1] < found.without[0] / 20
        np.True_
    """
    x, y = iris_petals()
    risk, w, n = linear_regression(x, y), torch.tensor(POINT, dtype=torch.float64), len(x)
    random = torch.Generator().manual_seed(seed)
    full = risk.gradient(w)
    singles = torch.stack([risk.gradient(w, torch.tensor([i])) for i in range(n)])

    def gradients(batches: list[Tensor]) -> Tensor:
        return torch.stack([risk.gradient(w, batch) for batch in batches])

    spread: dict[bool, list[float]] = {True: [], False: []}
    clouds: dict[int, Numbers] = {}
    for size in SIZES:
        drawn = {
            True: [torch.randint(n, (size,), generator=random) for _ in range(draws)],
            False: [torch.randperm(n, generator=random)[:size] for _ in range(draws)],
        }
        for replacement, batches in drawn.items():
            g = gradients(batches)
            spread[replacement].append(float((g - full).square().sum(1).mean()))
            if size in SHOWN and not replacement:
                clouds[size] = g.numpy()
    return Variance(
        n,
        np.array(SIZES),
        np.array(spread[True]),
        np.array(spread[False]),
        draws,
        float((singles - full).square().sum(1).mean()),
        full.numpy(),
        clouds,
    )


def draw(found: Variance) -> Figure:
    """Clouds of gradients that shrink as B grows, and their variance against B."""
    with style.lecture():
        figure = style.canvas(15.0, 6.4)
        left, right = figure.subplots(1, 2)
        shades = ("#fdbe85", "#e6550d", "#7f2704")
        left.axhline(0, color=style.PALE, linewidth=1)
        left.axvline(0, color=style.PALE, linewidth=1)
        for (size, cloud), shade, marker in zip(
            found.clouds.items(), shades, ("o", "s", "^"), strict=True
        ):
            left.plot(*cloud.T, marker, color=shade, markersize=5, alpha=0.55,
                      markeredgewidth=0, label=f"B = {size}")  # fmt: skip
        left.annotate("", found.full, xytext=(0, 0), zorder=6,
                      arrowprops={"arrowstyle": "-|>", "linewidth": 3, "color": style.INK,
                                  "mutation_scale": 22})  # fmt: skip
        left.annotate("gradient on all examples", found.full, xytext=(0.03, 0.05),
                      textcoords="axes fraction", fontsize=14,
                      arrowprops={"arrowstyle": "-", "color": style.INK})  # fmt: skip
        every = np.concatenate([*found.clouds.values(), np.zeros((1, 2))])
        low, high = np.quantile(every, 0.004, axis=0), np.quantile(every, 0.996, axis=0)
        room = 0.08 * (high - low)
        left.set_xlim(low[0] - room[0], high[0] + room[0])
        left.set_ylim(low[1] - room[1], high[1] + room[1])
        style.dress(left, x="gradient along $w_1$", y="gradient along $w_2$",
                    title=f"{found.draws} mini-batch gradients at one point")  # fmt: skip
        legend = left.legend(frameon=False, markerscale=2.2, loc="upper left")
        for line in legend.get_lines():
            line.set_alpha(1)
        for replacement, measured, line, label in (
            (True, found.with_replacement, STYLES[0], "with replacement"),
            (False, found.without, STYLES[1], "without replacement"),
        ):
            fine = np.geomspace(1, found.n - 0.2, 200)
            law = found.sigma2 / fine
            if not replacement:
                law = law * (found.n - fine) / (found.n - 1)
            right.loglog(fine, law, color=line.color, linewidth=2.2, linestyle=line.dashes)
            right.loglog(found.sizes, measured, line.marker, color=line.color, markersize=9,
                         label=f"measured, {label}")  # fmt: skip
        right.annotate("σ² / B", (6, found.sigma2 / 6), xytext=(10, 12), fontsize=18,
                       textcoords="offset points", color=STYLES[0].color)  # fmt: skip
        right.annotate("σ² / B · (N - B) / (N - 1)".replace("-", "−"), (128, found.without[-2]),
                       xytext=(-16, -4), textcoords="offset points", ha="right", va="top",
                       fontsize=16, color=STYLES[1].color)  # fmt: skip
        right.set_ylim(found.without[-1] / 2, 2 * found.sigma2)
        style.dress(right, x="batch size B", y="variance of the gradient",
                    title="four times the batch, a quarter of the variance")  # fmt: skip
        right.legend(frameon=False, loc="lower left")
    return figure
