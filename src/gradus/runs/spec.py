"""What determines a run: one schema for the command line, TOML files, Python and run.json."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from gradus.errors import InputError

if TYPE_CHECKING:
    from gradus.methods import Method
    from gradus.risk.losses import Loss
    from gradus.risk.penalties import Penalty

LossName = Literal["cross-entropy", "nll", "mse", "l1", "kl-div"]
PenaltyName = Literal["l1", "l2", "squared-l2", "elastic-net"]
MethodName = Literal["sgd", "gradient-descent", "polyak", "nesterov", "adam"]
ScheduleName = Literal["constant", "step", "inverse-time", "inverse-sqrt", "cosine"]
SamplingName = Literal["shuffle", "sequential", "replacement", "full"]

CLASSES: dict[str, dict[str, str]] = {
    "method": {
        "sgd": "SGD",
        "gradient-descent": "GradientDescent",
        "polyak": "Polyak",
        "nesterov": "Nesterov",
        "adam": "Adam",
    },
    "schedule": {
        "constant": "Constant",
        "step": "StepDecay",
        "inverse-time": "InverseTime",
        "inverse-sqrt": "InverseSqrt",
        "cosine": "Cosine",
    },
    "loss": {
        "cross-entropy": "CrossEntropyLoss",
        "nll": "NLLLoss",
        "mse": "MSELoss",
        "l1": "L1Loss",
        "kl-div": "KLDivLoss",
    },
    "penalty": {
        "l1": "L1",
        "l2": "L2",
        "squared-l2": "SquaredL2",
        "elastic-net": "ElasticNet",
    },
}
"""The class that each name stands for."""

OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "method": {
        "sgd": {
            "lr": 0.001, "momentum": 0.5, "dampening": 0.0, "weight_decay": 0.0,
            "nesterov": False, "maximize": False,
        },
        "gradient-descent": {"lr": 0.001},
        "polyak": {"lr": 0.001, "beta": 0.9},
        "nesterov": {"lr": 0.001, "beta": 0.9},
        "adam": {
            "lr": 0.001, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0,
            "amsgrad": False, "maximize": False,
        },
    },
    "schedule": {
        "constant": {"warmup": 0},
        "step": {"warmup": 0, "decay_every": None, "decay_factor": 0.1},
        "inverse-time": {"warmup": 0, "gamma": None},
        "inverse-sqrt": {"warmup": 0, "gamma": 1.0},
        "cosine": {"warmup": 0, "final_lr": 0.0},
    },
    "model": {"mlp": {"hidden": (512, 512)}, "linear": {}, "*": {}},
    "penalty": {
        "none": {},
        "l1": {"strength": None}, "l2": {"strength": None}, "squared-l2": {"strength": None},
        "elastic-net": {"strength": None, "l1_ratio": 0.5},
    },
    "sampling": {
        "shuffle": {"batch_size": 16}, "sequential": {"batch_size": 16},
        "replacement": {"batch_size": 16}, "full": {},
    },
}  # fmt: skip
"""Which options belong to which choice, and their defaults; None: it has to be given."""


def _split(value: Any) -> Any:
    """A list written as on the command line: ``512,512``."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return (value,) if isinstance(value, int) else value


Listed = BeforeValidator(_split)
Positive = Annotated[int, Field(ge=1)]


class RunSpec(BaseModel):
    """Everything that determines a run; the same spec gives the same record.

    Options that belong to a choice (the momentum of SGD, the widths of an MLP) are refused where
    they have no meaning, and take their default where they are not given, so that a spec is always
    complete.

    Raises:
        pydantic.ValidationError: (a ValueError) an option is unknown, out of its range, or does
            not belong to the choice made.

    Example:
        >>> import gradus
        >>> spec = gradus.RunSpec(data="digits", method="adam", batch_size=64)
        >>> spec.lr, spec.momentum, spec.title
        (0.001, None, 'Optimizer-Adam lr-0.001 bs-64')
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    data: Annotated[str, Field(description="digits, fashion-mnist, mnist, or a file or folder")] = (
        "digits"
    )
    target: Annotated[str | None, Field(description="column to predict (CSV, Parquet)")] = None
    categorical: Annotated[
        tuple[str, ...], Listed, Field(description="columns of names, not numbers")
    ] = ()
    drop: Annotated[tuple[str, ...], Listed, Field(description="columns to leave out")] = ()
    missing: Annotated[
        Literal["mean", "drop"] | None,
        Field(description="fill missing numbers with their column's mean, or drop the rows"),
    ] = None
    standardize: Annotated[
        bool, Field(description="give every input column mean 0 and deviation 1")
    ] = False
    test_fraction: Annotated[
        float | None,
        Field(gt=0, lt=1, description="part kept for testing, where data has no test set: 0.2"),
    ] = None

    model: Annotated[str, Field(description="linear, mlp, or package.module:factory")] = "mlp"
    hidden: Annotated[
        tuple[Positive, ...] | None, Listed, Field(description="widths of the mlp: 512,512")
    ] = None
    loss: Annotated[
        LossName | None, Field(description="default: cross-entropy for classes, mse for numbers")
    ] = None
    penalty: Annotated[PenaltyName | None, Field(description="regulariser Ω")] = None
    strength: Annotated[float | None, Field(ge=0, description="λ, the weight of the penalty")] = (
        None
    )
    l1_ratio: Annotated[
        float | None, Field(ge=0, le=1, description="elastic-net: share of L1, 0.5")
    ] = None

    method: Annotated[MethodName, Field(description="how the parameters move")] = "sgd"
    lr: Annotated[float | None, Field(description="learning rate: 0.001")] = None
    momentum: Annotated[float | None, Field(description="sgd: 0.5")] = None
    dampening: Annotated[float | None, Field(description="sgd: 0")] = None
    nesterov: Annotated[bool | None, Field(description="sgd: Nesterov's form of momentum")] = None
    weight_decay: Annotated[float | None, Field(description="sgd, adam: 0")] = None
    maximize: Annotated[bool | None, Field(description="sgd, adam: climb, not descend")] = None
    beta: Annotated[float | None, Field(description="polyak, nesterov: momentum factor, 0.9")] = (
        None
    )
    betas: Annotated[tuple[float, float] | None, Listed, Field(description="adam: 0.9,0.999")] = (
        None
    )
    eps: Annotated[float | None, Field(description="adam: 1e-8")] = None
    amsgrad: Annotated[bool | None, Field(description="adam: running maximum of v")] = None

    schedule: Annotated[
        ScheduleName, Field(description="how the learning rate changes with the step")
    ] = "constant"
    warmup: Annotated[
        int | None, Field(ge=0, description="steps of linear warm-up, with any schedule: 0")
    ] = None
    decay_every: Annotated[int | None, Field(ge=1, description="step: steps between decays")] = None
    decay_factor: Annotated[float | None, Field(gt=0, description="step: factor, 0.1")] = None
    gamma: Annotated[
        float | None, Field(ge=0, description="inverse-time, inverse-sqrt: γ in 1 + γ t")
    ] = None
    final_lr: Annotated[float | None, Field(ge=0, description="cosine: last learning rate, 0")] = (
        None
    )

    sampling: Annotated[SamplingName, Field(description="order of the examples")] = "shuffle"
    batch_size: Annotated[int | None, Field(ge=1, description="examples in a mini-batch: 16")] = (
        None
    )
    epochs: Annotated[int, Field(ge=1, description="passes over the data")] = 10
    seed: Annotated[int, Field(ge=0, lt=2**63, description="of parameters, order, split")] = 0
    log_every: Annotated[int, Field(ge=1, description="batches between two rows")] = 100

    engine: Annotated[Literal["auto", "eager"], Field(description="who executes the run")] = "auto"
    device: Annotated[Literal["auto", "cpu", "cuda"], Field(description="where")] = "auto"
    dtype: Annotated[Literal["float32", "float64"], Field(description="arithmetic of the run")] = (
        "float32"
    )

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, given: Any) -> Any:
        """Refuse options that do not belong to the choices made; fill in those that do."""
        if not isinstance(given, Mapping):
            return given
        values = {key: value for key, value in given.items() if value is not None}
        for choice, table in OPTIONS.items():
            fallback = cls.model_fields[choice].default or "none"
            chosen = values.get(choice, fallback)
            if choice == "model" and chosen not in table:
                chosen = "*"
            if chosen not in table:
                continue  # refused with the other fields, which name what is accepted
            owned = {option for options in table.values() for option in options}
            accepted = table[chosen]
            for option in owned & values.keys() - accepted.keys():
                if choice == "penalty" and chosen == "none" and values[option] == 0:
                    del values[option]
                    continue
                raise ValueError(_misplaced(option, choice, values.get(choice, chosen), accepted))
            for option, default in accepted.items():
                if default is None and option not in values:
                    raise ValueError(f"{flag(choice)} {chosen} needs {flag(option)}")
                values.setdefault(option, default)
        return values

    @model_validator(mode="after")
    def _buildable(self) -> RunSpec:
        """The equations have the last word on their hyper-parameters."""
        self.build_method(steps=1)
        self.build_penalty()
        return self

    @classmethod
    def read(cls, values: Mapping[str, Any], *, where: str = "") -> RunSpec:
        """A spec from what the user wrote; what is wrong is said in one line.

        Args:
            values: options by name.
            where: what the values were read from, for the message.

        Raises:
            InputError: the first thing that is wrong.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise InputError(where + _first_line(error, cls.model_fields)) from None

    @classmethod
    def read_file(cls, path: Path, changes: Mapping[str, Any]) -> RunSpec:
        """A spec from a TOML file, or from the run.json of an earlier run, with some changes."""
        try:
            text = path.read_text(encoding="utf-8")
            content = json.loads(text)["spec"] if path.suffix == ".json" else tomllib.loads(text)
        except FileNotFoundError:
            raise InputError(f"{path}: no such file; give a TOML file or a run.json") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: not a run's specification: {error}") from None
        return cls.read({**content, **changes}, where=f"{path}: ")

    def build_method(self, steps: int) -> Method:
        """The method with its learning-rate schedule, for a run of so many steps."""
        from gradus import methods

        options = self._options("method")
        scheduled = self._options("schedule")
        warmup = scheduled.pop("warmup")
        if self.schedule != "constant" or warmup:
            if self.schedule == "cosine":
                scheduled["steps"] = steps
            schedule = getattr(methods, CLASSES["schedule"][self.schedule])(self.lr, **scheduled)
            options["lr"] = methods.Warmup(schedule, warmup) if warmup else schedule
        method: Method = getattr(methods, CLASSES["method"][self.method])(**options)
        return method

    def build_loss(self) -> Loss:
        """The loss, once it is known; KL as a mean over examples, as every other."""
        from gradus.risk import losses

        if self.loss is None:
            raise ValueError("the loss follows from the data: give one, or train")
        reduction = "batchmean" if self.loss == "kl-div" else "mean"
        loss: Loss = getattr(losses, CLASSES["loss"][self.loss])(reduction=reduction)
        return loss

    def build_penalty(self) -> Penalty | None:
        """The penalty, or None."""
        from gradus.risk import penalties

        if self.penalty is None:
            return None
        kind = getattr(penalties, CLASSES["penalty"][self.penalty])
        penalty: Penalty = kind(**self._options("penalty"))
        return penalty

    def _options(self, choice: str) -> dict[str, Any]:
        """The options that belong to what was chosen, by name."""
        return {name: getattr(self, name) for name in OPTIONS[choice][getattr(self, choice)]}

    @property
    def takes_log_probabilities(self) -> bool:
        """Whether the loss takes log-probabilities: the shipped models then end in log-softmax."""
        return self.loss in ("nll", "kl-div")

    @property
    def title(self) -> str:
        """The title of the loss curve: ``Optimizer-SGD lr-0.001 mt-0.5 bs-16``."""
        parts = [f"Optimizer-{CLASSES['method'][self.method]}"]
        for short, value in (("lr", self.lr), ("mt", self.momentum), ("mt", self.beta)):
            if value is not None:
                parts.append(f"{short}-{plain(value)}")
        return " ".join([*parts, f"bs-{self.batch_size or 'full'}"])


def plain(number: float) -> str:
    """A number without exponent: 0.00001."""
    import numpy as np

    return np.format_float_positional(number, trim="-")


def flag(option: str) -> str:
    """The command-line option of a field."""
    name, space, rest = option.partition(" ")
    return f"--{name.replace('_', '-')}{space}{rest}"


def _misplaced(option: str, choice: str, chosen: str, accepted: Mapping[str, Any]) -> str:
    takes = ", ".join(map(flag, accepted)) or "no options"
    if chosen == "none":
        return f"{flag(option)} needs {flag(choice)}: {' | '.join(list(OPTIONS[choice])[1:])}"
    return f"{flag(option)} is not an option of {flag(choice)} {chosen}, which takes {takes}"


def _first_line(error: ValidationError, fields: Collection[str]) -> str:
    """The first thing that pydantic found, as one line in the words of the command line."""
    found = error.errors(include_url=False)[0]
    if found["type"] == "value_error":
        # The equations name the hyper-parameter first: "lr must be ...".
        message = str(found["ctx"]["error"])
        name = message.partition(" ")[0].partition("[")[0]
        return flag(message) if name in fields else message
    name, given, reason = str(found["loc"][0]), found["input"], found["msg"]
    if found["type"] == "extra_forbidden":
        return f"{flag(name)}: no such option{_nearest(name, fields)}"
    if found["type"] == "literal_error":
        accepted = choices(RunSpec.model_fields[name].annotation)
        return f"{flag(name)} {given}: choose {' | '.join(accepted)}{_nearest(given, accepted)}"
    if found["type"] in ("missing", "too_long"):
        given = ",".join(map(str, given))
        reason = "must be two numbers, as 0.9,0.999"
    reason = reason.replace("Input should be", "must be").partition(", unable to")[0]
    return f"{flag(name)} {given}: {reason}"


def _nearest(given: object, known: Collection[str]) -> str:
    near = difflib.get_close_matches(str(given), known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def choices(annotation: Any) -> list[str]:
    """The names that a field accepts, where it is a choice between names."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [name for part in get_args(annotation) for name in choices(part)]
