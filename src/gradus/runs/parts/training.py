"""In which batches a run sees its examples, for how long, and what it writes down."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import (
    BeforeValidator,
    Field,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from gradus.models.own import is_object, shown
from gradus.runs.parts.part import Names, OrObject, Part, Table, split
from gradus.runs.parts.threshold import Written

ROWS = 1_000
"""Rows of the history that a long run has at least, where ``log_every`` is not given."""

CLASSICAL = {"fashion-mnist": 100}
"""Batches between two rows in the trainings of the subject."""

MeasureName = Literal[
    "validation-loss",
    "validation-accuracy",
    "validation-balanced-accuracy",
    "validation-f1",
    "validation-auc",
    "validation-log-loss",
    "validation-r2",
    "validation-rmse",
    "validation-mae",
    "test-loss",
    "test-accuracy",
    "test-balanced-accuracy",
    "test-f1",
    "test-auc",
    "test-log-loss",
    "test-r2",
    "test-rmse",
    "test-mae",
    "train-loss",
]
MetricName = Literal["accuracy", "balanced-accuracy", "f1", "auc", "log-loss", "r2", "rmse", "mae"]
SamplingName = Literal["shuffle", "sequential", "replacement", "full"]


MEASURES: tuple[str, ...] = get_args(MeasureName)


def full_measure(value: Any) -> Any:
    """The name of a measure; one without a part is meant on the validation part.

    Example:
        >>> full_measure("f1"), full_measure("test-f1"), full_measure("nothing")
        ('validation-f1', 'test-f1', 'nothing')
    """
    full = f"validation-{value}"
    return full if full in MEASURES else value


def name_of_metric(written: str) -> str:
    """The name of a figure in columns.

    Example:
        >>> name_of_metric("log-loss"), name_of_metric("object:mine.within_one#0123456789ab")
        ('log_loss', 'within_one')
    """
    return re.split("[.:]", shown(written))[-1].replace("-", "_")


def _own_or(value: Any, check: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """A measure by one of the user's own metrics is taken as it is."""
    own = {name_of_metric(each) for each in info.data.get("metrics") or () if is_object(each)}
    part, _, name = str(value).partition("-")
    if str(value) in own:
        return f"validation-{value}"
    return value if part in ("validation", "test") and name in own else check(value)


class TrainingPart(Part):
    """The course of the training."""

    heading: ClassVar[str] = "Training"
    tables: ClassVar[Mapping[str, Table]] = {
        "sampling": {
            "shuffle": {"batch_size": 16},
            "sequential": {"batch_size": 16},
            "replacement": {"batch_size": 16},
            "full": {},
        }
    }
    default_choices: ClassVar[Mapping[str, str]] = {"sampling": "shuffle"}

    sampling: Annotated[SamplingName, OrObject] = Field(
        default="shuffle", description="order of the examples"
    )
    batch_size: int | None = Field(default=None, ge=1, description="examples in a mini-batch")
    accumulate: int = Field(
        default=1, ge=1, description="mini-batches of which one step takes the mean gradient"
    )
    clip_norm: float | None = Field(
        default=None, gt=0, description="longest gradient of a step; a longer one is shortened"
    )
    clip_value: float | None = Field(
        default=None, gt=0, description="largest entry of it; larger ones are cut"
    )
    sam: float | None = Field(
        default=None,
        ge=0,
        description="ρ of sharpness-aware minimisation, as 0.05: the gradient is taken where the "
        "loss within this distance is largest; two gradients a step",
    )
    asam: float | None = Field(
        default=None, ge=0, description="likewise, distances in the units of each weight; as 0.5"
    )
    lookahead: int | None = Field(
        default=None,
        ge=1,
        description="steps after which the parameters go half of the way back to where they were",
    )
    average: Literal["all", "suffix"] | None = Field(
        default=None,
        description="the mean of the points of all steps, or of the second half of them, in place "
        "of the last point",
    )
    ema: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="decay of an exponential moving average of the parameters over the steps, as "
        "0.999, which is evaluated and saved in their place",
    )
    epochs: int = Field(default=10, ge=1, description="passes over the data")
    seed: int = Field(default=0, ge=0, lt=2**63, description="of parameters and order")
    patience: int | None = Field(
        default=None, ge=1, description="epochs without a better one after which a run ends"
    )
    keep: Literal["best", "last"] | None = Field(
        default=None,
        description="the parameters that remain: of the best epoch, or the last  [default: best "
        "where there is a validation part]",
    )
    metrics: Annotated[tuple[Annotated[MetricName, OrObject], ...], BeforeValidator(split)] = Field(
        default=(),
        description="figures that are taken of the validation and the test part after every epoch: "
        "accuracy, balanced-accuracy, f1, auc, log-loss, r2, rmse, mae",
    )
    measure: Annotated[
        MeasureName | None, WrapValidator(_own_or), BeforeValidator(full_measure)
    ] = Field(
        default=None,
        description="by which epochs are compared: loss, accuracy, balanced-accuracy, f1, auc, "
        "log-loss, r2, rmse or mae of the validation part, or as test-f1 of the test part, or "
        "train-loss  [default: validation-loss]",
        json_schema_extra={"metavar": "MEASURE"},
    )
    threshold: Written | None = Field(
        default=None,
        description="of two classes, the probability from which on the rarer is predicted, or that "
        "of a class, yes=0.3; or by what it is chosen on the validation part: f1, "
        "balanced-accuracy, accuracy  [default: the likelier is]",
        json_schema_extra={"metavar": "P"},
    )
    auto: Names = Field(
        default=(),
        description="options that follow from the data once they are read: until then what stands "
        "there is for a table of some thousand rows",
    )
    log_every: int | None = Field(
        default=None,
        ge=1,
        description="batches between two rows; default: about 1,000 rows a run, and 100 for "
        "fashion-mnist",
    )

    def batches_between_rows(self, data: str, steps: int) -> int:
        """How many batches of an epoch lie between two rows of the history.

        Where nothing is given a run of up to 2,000 steps records each of them, a longer one some
        1,000 to 2,000 of them, at least one an epoch; on ``fashion-mnist`` every 100th, as the
        classical training does.

        Args:
            data: their name.
            steps: of the whole run.
        """
        if self.log_every is not None:
            return self.log_every
        return CLASSICAL[data] if data in CLASSICAL else max(1, steps // ROWS)
