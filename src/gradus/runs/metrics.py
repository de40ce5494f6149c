"""The figures that a run was asked for beside its losses, by their functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from gradus.errors import InputError, OwnCodeError
from gradus.metrics.figure import Figure
from gradus.metrics.measures import OF_CLASSES, OF_NUMBERS
from gradus.models.own import is_object, told
from gradus.runs.judging import in_own_unit, score_of
from gradus.runs.parts.training import name_of_metric

if TYPE_CHECKING:
    from torch import Tensor

    from gradus.data.dataset import Split
    from gradus.engine.job import Outcome
    from gradus.engine.selection import Score, Scores
    from gradus.metrics.own import Metric
    from gradus.runs.spec import RunSpec


def scores_of(spec: RunSpec, split: Split, own: Mapping[str, Metric]) -> Scores:
    """What gives each figure of outputs and targets, by its name in columns.

    The accuracy is none: it is taken anyhow.

    Args:
        spec: of the run.
        split: its data.
        own: the user's metrics, by name.

    Raises:
        InputError: a figure is of classes and the targets are numbers, or the other way round.
    """
    found: dict[str, Score] = {}
    of, known = "classes", ["accuracy", *OF_CLASSES]
    if split.train.classes is None:
        of, known = "numbers", [*OF_NUMBERS]
    for written in spec.metrics:
        name = name_of_metric(written)
        if is_object(written):
            found[name] = score_of_own(own[name], split)
            continue
        if name not in known:
            raise InputError(
                f"--metrics {written}: the targets are {of}, of which there is no {written}; take "
                f"of {', '.join(known).replace('_', '-')}"
            )
        if name != "accuracy":
            found[name] = score_of(spec, split, name)
    return found


def score_of_own(metric: Metric, split: Split) -> Score:
    """What gives a figure of the user's own; what is wrong with that is said in one line."""

    def score(outputs: Tensor, y: Tensor) -> float:
        given = outputs.cpu(), y.cpu()
        if split.train.classes is None:
            given = in_own_unit(given[0], split), in_own_unit(given[1], split)
        try:
            with torch.no_grad():
                value = metric.function(*given)
        except Exception as error:
            shapes = " and ".join(str(tuple(each.shape)) for each in given)
            raise OwnCodeError(
                f"metrics {metric.name}: fails on an output and targets of shapes {shapes}: "
                f"{told(error)}"
            ) from error
        try:
            return float(value)
        except (TypeError, ValueError, RuntimeError):
            shape = tuple(value.shape) if hasattr(value, "shape") else type(value).__name__
            raise OwnCodeError(
                f"metrics {metric.name}: gives {shape}, where one number is taken, as of .mean()"
            ) from None

    return score


def figures_of_metrics(outcome: Outcome, known: Mapping[str, Any] | None) -> dict[str, Any]:
    """The figures on the test part that are not among those that every run has.

    Args:
        outcome: of the run.
        known: those of every run, by name.
    """
    tested = outcome.tested
    if tested is None or known is None:
        return {}
    there = {name.partition(" of ")[0] for name in known}
    return {
        name: Figure(value).as_record()
        for name, value in tested.metrics.items()
        if name not in there
    }
