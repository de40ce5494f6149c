"""How each loss grows with the error, and how hard its gradient pulls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradus.figures import style
from gradus.figures.curve_styles import STYLES
from gradus.risk.losses import CrossEntropyLoss, KLDivLoss, L1Loss, MSELoss, NLLLoss

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Numbers = NDArray[np.float64]

TARGET: Final = 0.3
"""The probability of the first class in the target of the KL divergence."""


@dataclass(frozen=True, eq=False)
class LossCurve:
    """A loss as a function of one number.

    Attributes:
        name: of the loss.
        formula: as TeX.
        axis: what the number is.
        at: ``[n]``.
        value: ``[n]``, the loss there.
        gradient: ``[n]``, its derivative by that number.
    """

    name: str
    formula: str
    axis: str
    at: Numbers
    value: Numbers
    gradient: Numbers


def _mse(error: Tensor) -> Tensor:
    value: Tensor = MSELoss()(error, torch.zeros_like(error))
    return value


def _l1(error: Tensor) -> Tensor:
    value: Tensor = L1Loss()(error, torch.zeros_like(error))
    return value


def _nll(p: Tensor) -> Tensor:
    value: Tensor = NLLLoss()(torch.stack([p.log(), (1 - p).log()])[None], torch.tensor([0]))
    return value


def _cross_entropy(margin: Tensor) -> Tensor:
    logits = torch.stack([margin, torch.zeros_like(margin)])[None]
    value: Tensor = CrossEntropyLoss()(logits, torch.tensor([0]))
    return value


def _kl(p: Tensor) -> Tensor:
    target = torch.tensor([[TARGET, 1 - TARGET]], dtype=p.dtype)
    log_p = torch.stack([p.log(), (1 - p).log()])[None]
    value: Tensor = KLDivLoss(reduction="batchmean")(log_p, target)
    return value


def facts() -> tuple[LossCurve, ...]:
    """The five losses, by the package's own classes and automatic differentiation.

    Example:
        >>> [curve.name for curve in facts()]
        ['MSE', 'L1', 'NLL', 'cross entropy', 'KL divergence']
    """
    errors, margins = np.linspace(-2, 2, 201), np.linspace(-5, 5, 201)
    p = np.linspace(0.02, 0.98, 193)
    asked: tuple[tuple[str, str, str, Numbers, Callable[[Tensor], Tensor]], ...] = (
        ("MSE", r"$(x - y)^2$", r"error $x - y$", errors, _mse),
        ("L1", r"$|x - y|$", r"error $x - y$", errors, _l1),
        ("NLL", r"$-\log p_y$", r"probability $p_y$ of the class", p, _nll),
        (
            "cross entropy", r"$-\log \mathrm{softmax}(x)_y$",
            "margin $x_y - x_{other}$ of two classes".replace("other", r"\mathrm{other}"),
            margins, _cross_entropy,
        ),
        (
            "KL divergence", r"$\Sigma\, y_c\,(\log y_c - \log p_c)$",
            f"probability $p_1$,  target $y_1 = {TARGET:g}$", p, _kl,
        ),
    )  # fmt: skip
    curves = []
    for name, formula, axis, at, loss in asked:
        values, slopes = [], []
        for number in at:
            x = torch.tensor(number, dtype=torch.float64, requires_grad=True)
            value = loss(x)
            (slope,) = torch.autograd.grad(value, x)
            values.append(value.item())
            slopes.append(slope.item())
        curves.append(LossCurve(name, formula, axis, at, np.array(values), np.array(slopes)))
    return tuple(curves)


def draw(found: tuple[LossCurve, ...]) -> Figure:
    """Above the losses, below their gradients."""
    with style.lecture():
        figure = style.canvas(20.0, 8.0)
        grid = figure.subplots(2, len(found), sharex="col")
        for column, curve in enumerate(found):
            above, below = grid[:, column]
            line, other = STYLES[0], STYLES[1]
            above.plot(curve.at, curve.value, color=line.color, linewidth=3)
            style.dress(above, x="", y="loss" if not column else "",
                        title=f"{curve.name}\n{curve.formula}")  # fmt: skip
            jump = np.flatnonzero(np.abs(np.diff(curve.gradient)) > 0.9)
            drawn = curve.gradient.copy()
            if curve.name == "L1":  # a kink: the gradient jumps, and no line joins its sides
                drawn[jump[0] + 1 : jump[-1] + 1] = np.nan
            below.plot(curve.at, drawn, color=other.color, linewidth=3)
            below.axhline(0, color=style.INK, linewidth=1)
            style.dress(below, x=curve.axis, y="gradient" if not column else "")
            for axes in (above, below):
                axes.tick_params(labelsize=13)
            if curve.name in ("NLL", "KL divergence"):
                below.set_ylim(bottom=-12, top=12 if curve.name == "KL divergence" else 2)
            if curve.name == "KL divergence":
                above.axvline(TARGET, color=style.PALE, linestyle=(0, (4, 3)), linewidth=2)
                above.annotate("$p = y$: loss 0", (TARGET, 0.9), xytext=(8, 0), fontsize=14,
                               xycoords=("data", "axes fraction"), textcoords="offset points"
                               )  # fmt: skip
    return figure
