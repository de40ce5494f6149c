"""What a training curve shows: its facts as data, then their drawing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from gradus.errors import InputError
from gradus.runs.thinning import thin

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

MINI_BATCH, SMOOTH, TEST, ENDED = "#9ecae1", "#08519c", "#d94801", "#a50f15"
VALIDATION, CONSTANT = "#238b45", "#525252"

Numbers = NDArray[np.float64] | NDArray[np.int64]

Against = Literal["samples", "work", "seconds"]
"""What a curve is drawn against: examples consumed, examples evaluated, or seconds of training."""

AXES: dict[Against, str] = {
    "samples": "number of samples",
    "work": "work (examples whose gradient or Hessian product was evaluated)",
    "seconds": "seconds of training, at the run's mean pace",
}
"""What is written below the x axis."""


def place(
    rows: pa.Table, against: Against, pace: Callable[[], float | NDArray[np.float64]], whose: str
) -> Numbers:
    """``[rows]``: where rows of a history or an evaluation stand on the x axis.

    Args:
        rows: with the columns samples and work.
        against: what x counts.
        pace: seconds of training for each example evaluated, of all rows or of each.
        whose: the rows are, for the message.

    Raises:
        InputError: work was not counted yet when they were recorded.
    """
    if against == "samples":
        return np.asarray(rows["samples"].to_numpy())
    if rows["work"].null_count:
        raise InputError(
            f"--against {against}: {whose} recorded before work was counted; use --against samples"
        )
    work = np.asarray(rows["work"].to_numpy())
    return work if against == "work" else np.asarray(work * pace())


POINTS = 2_000
"""About so many points of a line are drawn: more cannot be seen, and make an SVG of megabytes."""

MARKERS = 100
"""Where a line has more points, they carry no markers."""


@dataclass(frozen=True, eq=False)
class TrainingCurve:
    """The facts of a training curve.

    Attributes:
        title: of the figure.
        x: ``[n]``, what the curve is drawn against.
        loss: ``[n]``, the mini-batch loss there.
        window: over how many rows ``smooth`` averages.
        test_x: ``[m]``, where the test loss was taken.
        test_loss: ``[m]``.
        validation_x: ``[k]``, where the validation loss was taken.
        validation_loss: ``[k]``.
        diverged_at: the x at which the run diverged, or None.
        constant: the training loss of the best constant prediction, the line to beat, or None.
        against: what x counts.
    """

    title: str
    x: Numbers
    loss: NDArray[np.float64]
    test_x: Numbers
    test_loss: NDArray[np.float64]
    validation_x: Numbers = field(default_factory=lambda: np.empty(0))
    validation_loss: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    diverged_at: float | None = None
    constant: float | None = None
    against: Against = "samples"

    @property
    def window(self) -> int:
        """About a twenty-fifth of the curve, as an odd number of rows; 1 where they are few."""
        return 2 * (len(self.loss) // 50) + 1

    @property
    def smooth(self) -> NDArray[np.float64]:
        """``[n]``: the mean over the window around each row, shorter at the ends."""
        half = self.window // 2
        summed = np.concatenate([[0.0], np.cumsum(self.loss)])
        at = np.arange(len(self.loss))
        low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, len(self.loss))
        return np.asarray((summed[high] - summed[low]) / (high - low))


def draw(curve: TrainingCurve) -> Figure:
    """Training loss against number of samples, legible on a slide."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"font.size": 13, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(8, 4.8), dpi=150, layout="constrained")
        axes = figure.subplots()
        smoothed = curve.window > 1
        axes.plot(
            *_thinned(curve.x, curve.loss),
            color=MINI_BATCH if smoothed else SMOOTH,
            linewidth=0.8 if smoothed else 1.8,
            marker=None if len(curve.x) > 50 else "o",
            markersize=4,
            label="mini-batch loss",
        )
        if smoothed:
            axes.plot(
                *_thinned(curve.x, curve.smooth),
                color=SMOOTH,
                linewidth=2.2,
                label=f"running mean of {curve.window}",
            )
        for x, loss, color, marker, label in (
            (curve.validation_x, curve.validation_loss, VALIDATION, "s", "validation loss"),
            (curve.test_x, curve.test_loss, TEST, "D", "test loss"),
        ):
            if len(loss):
                axes.plot(
                    *_thinned(x, loss),
                    color=color,
                    linestyle="--",
                    linewidth=1.4,
                    marker=marker if len(loss) <= MARKERS else None,
                    markersize=6,
                    label=label,
                )
        if curve.diverged_at is not None:
            axes.axvline(curve.diverged_at, color=ENDED, linestyle=":", linewidth=2)
            axes.annotate(
                "diverged",
                (curve.diverged_at, 0.97),
                xycoords=("data", "axes fraction"),
                xytext=(-6, 0),
                textcoords="offset points",
                ha="right",
                va="top",
                color=ENDED,
            )
        if curve.constant is not None:
            axes.axhline(curve.constant, color=CONSTANT, linestyle=(0, (1, 2)), linewidth=1.4,
                         label="best constant prediction")  # fmt: skip
        axes.set_title(curve.title)
        axes.set_xlabel(AXES[curve.against])
        axes.set_ylabel("training loss")
        axes.xaxis.set_major_formatter("{x:,.3g}" if curve.against == "seconds" else "{x:,.0f}")
        axes.grid(color="0.92")
        axes.set_axisbelow(True)
        axes.legend(framealpha=0.85, edgecolor="none")
    return figure


def _thinned(x: Numbers, loss: NDArray[np.float64]) -> tuple[Numbers, NDArray[np.float64]]:
    """The points of a line that are drawn, its ends and extremes among them."""
    rows = thin(np.zeros(1, np.int64), loss, POINTS)
    return x[rows], loss[rows]


def in_terminal(curve: TrainingCurve, *, width: int, height: int = 10) -> str:
    """A small loss curve in characters, its highest and lowest loss written beside it."""
    from uniplot import plot_to_string

    loss = curve.smooth
    drawn = plot_to_string(
        xs=[curve.x],
        ys=[loss],
        lines=True,
        width=width,
        height=height,
        x_gridlines=[],
        y_gridlines=[],
        title=f"training loss against {AXES[curve.against]}",
    )
    # The library's labels have a fixed width and few digits: losses are small, or very large.
    frame = [
        line[: line.rindex("│") + 1] if line.startswith("│") else line
        for line in drawn.splitlines()
    ]
    rows = [at for at, line in enumerate(frame) if line.startswith("│")]
    frame[rows[0]] += f" {loss.max():.3g}"
    frame[rows[-1]] += f" {loss.min():.3g}"
    return "\n".join(line.rstrip() for line in frame)
