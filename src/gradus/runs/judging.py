"""What the outputs of a model mean, in the words and the unit of the target, and their figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradus.errors import InputError, quoted
from gradus.metrics.measures import OF_CLASSES, OF_NUMBERS
from gradus.metrics.predictions import ClassPredictions, NumberPredictions, Predictions
from gradus.runs.files import open_plain
from gradus.runs.reading import UNREADABLE

if TYPE_CHECKING:
    from torch import Tensor

    from gradus.data.dataset import Dataset, Split
    from gradus.data.preparation import Quantities
    from gradus.engine.job import Job, Outcome, Part
    from gradus.engine.selection import Score
    from gradus.metrics.threshold import Threshold
    from gradus.runs.spec import RunSpec


def predictions_on_test(
    spec: RunSpec, split: Split, job: Job, outcome: Outcome
) -> Predictions | None:
    """What the model that a run leaves says of the test part.

    None where it was not tested, or gives what is no number.
    """
    tested = outcome.tested
    if tested is None or not bool(tested.outputs.isfinite().all()):
        return None
    from gradus.runs.thresholds import threshold_of

    threshold = threshold_of(spec, job, targets_of(split).get("shares"))
    return predictions_of(spec, split, job.test, tested.outputs, threshold)


def predictions_of(
    spec: RunSpec,
    split: Split,
    part: Dataset,
    outputs: Tensor,
    threshold: Threshold | None = None,
) -> Predictions:
    """What outputs on a part of the data say of its examples.

    Args:
        spec: of the run; its loss says whether outputs are logits or logarithms of probabilities.
        split: its data.
        part: the examples.
        outputs: ``[n, m]``, on the CPU.
        threshold: of two classes, from which probability on one is decided for.
    """
    y = part.y.cpu()
    if part.classes is not None:
        p = probabilities(outputs, logarithms=spec.takes_log_probabilities)
        return ClassPredictions(p, labels_of(y).numpy(), part.classes, threshold)
    return NumberPredictions(
        _own_unit(outputs, split), _own_unit(y, split), target_names(split), spec.quantile
    )


def score_of(spec: RunSpec, split: Split, figure: str) -> Score:
    """What gives a figure of the outputs of a model and targets, on any part.

    Args:
        spec: of the run.
        split: its data.
        figure: one of `gradus.metrics.measures`.
    """
    if split.train.classes is None:
        of_numbers = OF_NUMBERS[figure]

        def score(outputs: Tensor, y: Tensor) -> float:
            return of_numbers(*(_own_unit(each.cpu(), split) for each in (outputs, y)))

        return score
    of_classes = OF_CLASSES[figure]
    logarithms = spec.takes_log_probabilities

    def score_of_classes(outputs: Tensor, y: Tensor) -> float:
        p = probabilities(outputs.cpu(), logarithms=logarithms)
        return of_classes(p, labels_of(y).cpu().numpy())

    return score_of_classes


def probabilities(outputs: Tensor, *, logarithms: bool) -> NDArray[np.float64]:
    """The probabilities of classes, ``[n, C]``.

    Args:
        outputs: of a model, ``[n, C]``, on the CPU; of two classes they may be the one logit of
            the second, ``[n, 1]``.
        logarithms: whether they are logarithms of probabilities; logits else.
    """
    found = outputs.double()
    if found.shape[1] == 1 and not logarithms:
        return np.concatenate([(-found).sigmoid().numpy(), found.sigmoid().numpy()], axis=1)
    return (found.exp() if logarithms else found.softmax(dim=1)).numpy()


def target_names(split: Split) -> tuple[str, ...]:
    """Of the numbers that are predicted; their positions where they have no names."""
    if (goal := _quantities(split)) is not None:
        return tuple(target.name for target in goal.targets)
    if split.target is not None and split.train.outputs == 1:
        return (split.target,)
    return tuple(map(str, range(split.train.outputs)))


def targets_of(split: Split, quantile: float | None = None) -> dict[str, Any]:
    """What the training targets alone say: the best constant prediction for every figure.

    The shares of the classes; of numbers the mean and the median of each, in its unit.

    Args:
        split: the data.
        quantile: that is predicted; that of the training targets is said then too.
    """
    y = split.train.y
    if split.train.classes is None:
        values = _own_unit(y, split)
        found = {
            "mean": values.mean(axis=0).tolist(),
            "median": np.median(values, axis=0).tolist(),
        }
        if quantile is None:
            return found
        import torch

        from gradus.metrics.constant import quantile_of

        at = quantile_of(
            torch.from_numpy(values),
            torch.full((len(y),), 1 / len(y), dtype=torch.float64),
            quantile,
        )
        return {**found, "quantile": quantile, "quantiles": at.tolist()}
    if y.is_floating_point():
        return {"shares": y.double().mean(dim=0).tolist()}
    counts = y.bincount(minlength=split.train.outputs)
    return {"shares": (counts.double() / len(y)).tolist()}


def judged(
    predictions: Predictions | None, targets: Mapping[str, Any], part: Part
) -> dict[str, Any]:
    """What a record says of predictions: their figures, and which class they name most often.

    Args:
        predictions: on a part of the data, where there are any.
        targets: what the training targets alone say.
        part: its name.
    """
    answers = None
    if predictions is None:
        return {"figures": None, "answers": None}
    if isinstance(predictions, ClassPredictions):
        found = predictions.figures(targets["shares"])
        name, times = predictions.commonest
        answers = {"commonest": name, "times": times, "examples": predictions.examples}
    else:
        found = predictions.figures(targets["mean"], targets["median"], targets.get("quantiles"))
    figures = {name: figure.as_record() for name, figure in found.items()}
    return {"figures": {part: figures}, "answers": answers}


def read_predictions(
    path: Path,
    classes: Sequence[str] | None,
    targets: Sequence[str],
    quantile: float | None = None,
    threshold: Threshold | None = None,
) -> Predictions:
    """The predictions that a record keeps.

    Args:
        path: of the Parquet file.
        classes: their names; None where numbers are predicted.
        targets: names of the numbers that are.
        quantile: of them that is predicted, where it is one.
        threshold: of two classes, from which probability on one is decided for.

    Raises:
        InputError: they are missing or damaged.
    """
    import pyarrow.parquet as pq

    try:
        with open(open_plain(path), "rb") as file:
            table = pq.ParquetFile(file).read(use_threads=False)
        found: Predictions = (
            NumberPredictions.of_table(table, targets, quantile)
            if classes is None
            else ClassPredictions.of_table(table, classes, threshold)
        )
    except FileNotFoundError:
        raise InputError(
            f"{path}: is missing: the run tested nothing, or was recorded before predictions were "
            "kept; train it again"
        ) from None
    except UNREADABLE as error:
        raise InputError(f"{path}: the record cannot be read: {quoted(error)}") from None
    return found


def labels_of(y: Tensor) -> Tensor:
    """Classes, where targets may be rows of probabilities: the most probable."""
    return y.argmax(dim=1) if y.is_floating_point() else y


def in_own_unit(values: Tensor, split: Split) -> Tensor:
    """Numbers as they are learned, ``[n, m]``, in the unit of the targets, as a tensor."""
    import torch

    return torch.from_numpy(_own_unit(values, split))


def _quantities(split: Split) -> Quantities | None:
    """The numbers that are predicted, where they are columns of a table."""
    from gradus.data.preparation import Quantities

    goal = None if split.preparation is None else split.preparation.goal
    return goal if isinstance(goal, Quantities) else None


def _own_unit(values: Tensor, split: Split) -> NDArray[np.float64]:
    """Numbers as they are learned, in the unit of the targets."""
    learned = np.asarray(values.double().numpy())
    goal = _quantities(split)
    return learned if goal is None else goal.unscaled(learned)
