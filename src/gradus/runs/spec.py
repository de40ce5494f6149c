"""What determines a run: one schema for the command line, TOML files, Python and run.json."""

from __future__ import annotations

import difflib
import hashlib
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
from pydantic.fields import FieldInfo

from gradus.errors import InputError
from gradus.runs.choices import CLASSES, ON_ALL_DATA, OPTIONS, changed, complete, flag

if TYPE_CHECKING:
    from gradus.methods import Method
    from gradus.risk.losses import Loss
    from gradus.risk.penalties import Penalty

LossName = Literal["cross-entropy", "nll", "mse", "l1", "kl-div"]
PenaltyName = Literal["l1", "l2", "squared-l2", "elastic-net"]
PENALTIES: tuple[str, ...] = get_args(PenaltyName)
MethodName = Literal[
    "sgd",
    "gradient-descent",
    "polyak",
    "nesterov",
    "adam",
    "adamw",
    "rmsprop",
    "adagrad",
    "proximal-gradient",
    "newton",
    "newton-cg",
    "gauss-newton",
    "levenberg-marquardt",
    "lbfgs",
]
LineSearchName = Literal["none", "backtracking", "strong-wolfe"]
ScheduleName = Literal["constant", "step", "inverse-time", "inverse-sqrt", "cosine"]
SamplingName = Literal["shuffle", "sequential", "replacement", "full"]


def _split(value: Any) -> Any:
    """A list written as on the command line: ``512,512``."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return (value,) if isinstance(value, int) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
Widths = Annotated[tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(_split)]
Betas = Annotated[tuple[float, float], BeforeValidator(_split)]


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

    data: str = Field(
        default="digits", description="digits, fashion-mnist, mnist, a file or a folder"
    )
    target: str | None = Field(default=None, description="column to predict (CSV, Parquet)")
    categorical: Names = Field(default=(), description="columns of names, not numbers")
    drop: Names = Field(default=(), description="columns to leave out")
    missing: Literal["mean", "drop"] | None = Field(
        default=None,
        description="fill missing numbers with the mean of their column, or drop their rows",
    )
    standardize: bool = Field(default=False, description="bring inputs to mean 0 and deviation 1")
    test_fraction: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="part kept for testing, where data has no test set (0.2)",
    )

    model: str = Field(default="mlp", description="linear, mlp, or package.module:factory")
    hidden: Widths | None = Field(default=None, description="widths of the hidden layers of mlp")
    loss: LossName | None = Field(
        default=None, description="default: by the target, cross-entropy or mse"
    )
    penalty: PenaltyName | None = Field(default=None, description="regulariser Ω")
    strength: float | None = Field(default=None, ge=0, description="λ, the weight of the penalty")
    l1_ratio: float | None = Field(
        default=None, ge=0, le=1, description="share of L1 in elastic-net"
    )
    proximal: bool | None = Field(
        default=None, description="take the penalty by its proximal step: exact zeros with l1"
    )

    method: MethodName = Field(default="sgd", description="how the parameters move")
    lr: float | None = Field(default=None, description="learning rate α, where a schedule starts")
    momentum: float | None = Field(default=None, description="momentum μ of sgd and rmsprop")
    dampening: float | None = Field(default=None, description="dampening τ of sgd")
    nesterov: bool | None = Field(default=None, description="Nesterov's form of momentum, in sgd")
    weight_decay: float | None = Field(
        default=None, description="weight decay λ of sgd, adam, adamw, rmsprop and adagrad"
    )
    maximize: bool | None = Field(default=None, description="climb, not descend: methods of torch")
    beta: float | None = Field(default=None, description="momentum factor β of polyak and nesterov")
    betas: Betas | None = Field(default=None, description="β1,β2 of adam and adamw")
    eps: float | None = Field(default=None, description="ε of adam, adamw, rmsprop and adagrad")
    amsgrad: bool | None = Field(default=None, description="running maximum of v: adam, adamw")
    alpha: float | None = Field(default=None, description="weight of the past, in rmsprop")
    centered: bool | None = Field(
        default=None, description="divide by the deviation of gradients, in rmsprop"
    )
    lr_decay: float | None = Field(default=None, description="decay of the rate with t, in adagrad")
    initial_accumulator_value: float | None = Field(
        default=None, description="sum of squares before the first step, in adagrad"
    )
    accelerated: bool | None = Field(
        default=None, description="the accelerated form of proximal-gradient (FISTA)"
    )
    damping: float | None = Field(
        default=None, description="damping μ of newton, newton-cg, gauss-newton, where LM starts"
    )
    saddle_free: bool | None = Field(
        default=None, description="eigenvalues by their absolute values, in newton"
    )
    max_iterations: int | None = Field(
        default=None, description="conjugate-gradient iterations a step, of newton-cg"
    )
    history: int | None = Field(default=None, description="pairs that lbfgs remembers")
    line_search: LineSearchName | None = Field(
        default=None, description="of newton, newton-cg, gauss-newton and lbfgs"
    )

    schedule: ScheduleName = Field(
        default="constant", description="how the learning rate changes with the step"
    )
    warmup: int | None = Field(
        default=None, ge=0, description="steps of linear warm-up, any schedule"
    )
    decay_every: int | None = Field(
        default=None, ge=1, description="steps between two decays of step"
    )
    decay_factor: float | None = Field(
        default=None, gt=0, description="factor of each decay of step"
    )
    gamma: float | None = Field(
        default=None, ge=0, description="γ in 1 + γ t of inverse-time and inverse-sqrt"
    )
    final_lr: float | None = Field(default=None, ge=0, description="last learning rate of cosine")

    sampling: SamplingName = Field(default="shuffle", description="order of the examples")
    batch_size: int | None = Field(default=None, ge=1, description="examples in a mini-batch")
    epochs: int = Field(default=10, ge=1, description="passes over the data")
    seed: int = Field(default=0, ge=0, lt=2**63, description="of parameters, order and split")
    log_every: int = Field(default=100, ge=1, description="batches between two rows")

    engine: Literal["auto", "eager", "native", "stacked"] = Field(
        default="auto",
        description="who executes the run: native (C++, dense networks on a CPU), eager (any "
        "model); auto takes native where it can",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="where")
    dtype: Literal["float32", "float64"] = Field(
        default="float32", description="arithmetic of the run"
    )

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, given: Any) -> Any:
        """Refuse options that do not belong to the choices made; fill in those that do."""
        if not isinstance(given, Mapping):
            return given
        return complete(given)

    @model_validator(mode="after")
    def _buildable(self) -> RunSpec:
        """The equations have the last word on their hyper-parameters."""
        if self.method == "proximal-gradient" and self.penalty is None:
            raise ValueError(f"method proximal-gradient needs --penalty: {' | '.join(PENALTIES)}")
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
            raise InputError(where + first_line(error, cls.model_fields)) from None

    @classmethod
    def read_file(cls, path: Path, changes: Mapping[str, Any]) -> RunSpec:
        """A spec from a TOML file, or from the run.json of an earlier run, with some changes."""
        try:
            text = path.read_text(encoding="utf-8")
            content = json.loads(text)["spec"] if path.suffix == ".json" else tomllib.loads(text)
            content = {name.replace("-", "_"): value for name, value in dict(content).items()}
        except FileNotFoundError:
            raise InputError(f"{path}: no such file; give a TOML file or a run.json") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: not a run's specification: {error}") from None
        return cls.read(changed(content, changes), where=f"{path}: ")

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
        if options.get("line_search") == "none":
            options["line_search"] = None
        method: Method = getattr(methods, CLASSES["method"][self.method])(**options)
        if not self.proximal or isinstance(method, methods.ProximalGradient):
            return method
        if not isinstance(method, methods.FirstOrder):
            raise ValueError(
                f"proximal needs a first-order method, which {self.method} is not: "
                "use proximal-gradient, or sgd, adam, ... with --proximal"
            )
        return methods.Proximal(method)

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
        options = self._options("penalty")
        del options["proximal"]  # how the method takes the penalty, not what it is
        penalty: Penalty = kind(**options)
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


def run_id(spec: RunSpec) -> str:
    """What names a run: 16 hexadecimal digits of the SHA-256 of its spec.

    The digest is of the canonical JSON: sorted keys, no spaces, every option.

    Example:
        >>> import gradus
        >>> from gradus.runs.spec import run_id
        >>> spec = gradus.RunSpec(lr=0.1)
        >>> len(run_id(spec)), run_id(spec) == run_id(gradus.RunSpec(lr="0.1", momentum=0.5))
        (16, True)
    """
    return hashlib.sha256(canonical(spec).encode()).hexdigest()[:16]


def canonical(spec: RunSpec) -> str:
    """The spec as JSON with every option, sorted keys and no spaces."""
    return json.dumps(spec.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


def first_line(error: ValidationError, fields: Mapping[str, FieldInfo]) -> str:
    """The first thing that pydantic found, as one line in the words of the command line."""
    found = error.errors(include_url=False)[0]
    if found["type"] == "value_error":
        # The equations name the hyper-parameter first: "lr must be ...".
        message = str(found["ctx"]["error"])
        name = message.partition(" ")[0].partition("[")[0]
        return flag(message) if name in fields else message
    name, given, reason = str(found["loc"][0]), found["input"], found["msg"]
    if found["type"] == "extra_forbidden":
        return f"{flag(name)}: no such option{nearest(flag(name), [*map(flag, fields)])}"
    if found["type"] == "literal_error":
        accepted = choices(fields[name].annotation)
        return f"{flag(name)} {given}: choose {' | '.join(accepted)}{nearest(given, accepted)}"
    if found["type"] in ("missing", "too_long"):
        given = ",".join(map(str, given))
        reason = "must be two numbers, as 0.9,0.999"
    reason = reason.replace("Input should be", "must be").partition(", unable to")[0]
    return f"{flag(name)} {given}: {reason}"


def nearest(given: object, known: Collection[str]) -> str:
    """The known name that is likeliest meant, as the end of a message."""
    near = difflib.get_close_matches(str(given), known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def defaults_of(option: str) -> list[str]:
    """What holds where an option is not given: the usual default, then others with their choice."""
    usual = RunSpec.model_fields[option].default
    owners: dict[str, list[str]] = {}
    for table in OPTIONS.values():
        for choice, options in table.items():
            if options.get(option) is not None:
                owners.setdefault(_shown(options[option]), []).append(choice)
    if option == "sampling":
        return [_shown(usual), f"{', '.join(sorted(ON_ALL_DATA))}: full"]
    if not owners:
        owners = {_shown(usual): []}
    (first, _), *others = owners.items()
    told = [first, *(f"{', '.join(names)}: {shown}" for shown, names in others)]
    return [part for part in told if part]


def _shown(default: Any) -> str:
    """A default as it is written on the command line; nothing for what is off."""
    if default is None or default is False or default == ():
        return ""
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


def choices(annotation: Any) -> list[str]:
    """The names that a field accepts, where it is a choice between names."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [name for part in get_args(annotation) for name in choices(part)]
