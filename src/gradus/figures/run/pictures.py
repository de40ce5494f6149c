"""Which pictures say what there is to say of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gradus.figures import style
from gradus.figures.picture import Picture
from gradus.figures.run import confusion, importance, ranking, reliability, residuals
from gradus.metrics.predictions import ClassPredictions, Predictions
from gradus.runs.curve import Against
from gradus.runs.files import write_whole
from gradus.runs.record_files import OVERVIEW

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from gradus.runs.record import Run


def pictures(run: Run, against: Against = "samples") -> list[Picture]:
    """The loss curve of a run, and what its model says of the test part.

    Args:
        run: trained just now, or opened from its record.
        against: what the loss curve is drawn against: samples, work or seconds of training.

    Raises:
        InputError: work was not counted yet when the run was recorded, or the record of what the
            model says is damaged.

    Example:
        >>> import gradus
        >>> from gradus.figures.run.pictures import pictures
        >>> run = gradus.train(gradus.RunSpec(model="linear", epochs=1))
        >>> [picture.name for picture in pictures(run)]
        ['loss', 'confusion', 'ranking', 'calibration']
    """
    found = [Picture("loss", "Loss curve", lambda: _curve(run, against))]
    if has_predictions(run):
        found += _of_predictions(run.test_predictions, rarer_of(run))
    if run.summary["importance"]:
        found.append(
            Picture(
                "importance",
                "Which columns it uses",
                lambda: importance.draw(importance.importances(run.summary)),
            )
        )
    return found


def _of_predictions(said: Predictions, rarer: int | None) -> list[Picture]:
    if isinstance(said, ClassPredictions):
        return [
            Picture(
                "confusion",
                "Which class is taken for which",
                lambda: confusion.draw(confusion.confusion(said)),
            ),
            Picture(
                "ranking",
                "How well classes are told apart",
                lambda: ranking.draw(ranking.ranking(said, rarer)),
            ),
            Picture(
                "calibration",
                "Whether it is right as often as it says",
                lambda: reliability.draw(reliability.calibration(said)),
            ),
        ]
    return [
        Picture(
            "residuals",
            "How far predictions are off",
            lambda: residuals.draw(residuals.residuals(said)),
        )
    ]


def has_predictions(run: Run) -> bool:
    """Whether there is a record of what the model says of the test part."""
    return run.summary["figures"] is not None


def rarer_of(run: Run) -> int | None:
    """Of two classes the one that is rarer in training, the second where they are even."""
    shares = run.summary["data"].get("shares")
    if shares is None or len(shares) != 2:
        return None
    return 0 if shares[0] < shares[1] else 1


def overview(run: Run) -> Figure:
    """All of what the model says of the test part, in one picture that is drawn soon.

    Args:
        run: one that has predictions.
    """
    panes = _panes(run.test_predictions, rarer_of(run))
    rows, columns = (len(panes) + 1) // 2, min(2, len(panes))
    with style.lecture():
        width, height = 6.6 * columns, 5.6 * rows
        # To find a layout takes as long as to draw it: there is room for the longest names.
        figure = style.canvas(width, height, fixed=True)
        figure.subplots_adjust(
            left=1.6 / width,
            right=1 - 0.3 / width,
            bottom=1.1 / height,
            top=1 - 0.5 / height,
            wspace=0.36,
            hspace=0.42,
        )
        grid = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes, onto in zip(grid, panes, strict=False):
            onto(axes)
        for axes in grid[len(panes) :]:
            axes.set_visible(False)
    return figure


def draw_overview(run: Run) -> Path | None:
    """Write that picture into the folder of a run; None where there is nothing to show."""
    if run.folder is None or not has_predictions(run):
        return None
    path = run.folder / OVERVIEW
    write_whole(path, style.quick_png(overview(run)))
    return path


def _panes(said: Predictions, rarer: int | None) -> list[Callable[[Axes], None]]:
    if isinstance(said, ClassPredictions):
        matrix, curves = confusion.confusion(said), ranking.ranking(said, rarer)
        return [
            lambda axes: confusion.onto(axes, matrix),
            lambda axes: ranking.roc_onto(axes, curves),
            lambda axes: ranking.precision_onto(axes, curves),
            lambda axes: reliability.onto(axes, reliability.calibration(said)),
        ]
    return [
        lambda axes, one=one: residuals.onto(axes, one)  # type: ignore[misc]
        for one in residuals.residuals(said)[: residuals.PANES]
    ]


def _curve(run: Run, against: Against) -> Figure:
    with style.lecture():
        return run.plot(against)
