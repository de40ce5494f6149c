"""What is swept: one schema for the command line, TOML files and Python."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import tomli_w
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    model_validator,
)

from gradus.errors import InputError
from gradus.runs.choices import OPTIONS, flag
from gradus.runs.spec import RunSpec, first_line, nearest
from gradus.sweep.ranges import Range

SearchName = Literal["grid", "one-at-a-time", "random", "optuna"]
SamplerName = Literal["tpe", "gp", "qmc", "random"]
PruneName = Literal["halving", "asha"]
DRAWN = ("random", "optuna")
"""The searches that draw their runs, one trial after another."""

FREE_TEXT = ("data", "target")
"""Options that may hold a comma themselves."""


class _OptionError(ValueError):
    """What is wrong with one option, so that a file's line can be named."""

    def __init__(self, option: str, message: str) -> None:
        super().__init__(message)
        self.option = option


@cache
def _schema() -> type[BaseModel]:
    """The fields of RunSpec each for itself, without what ties them to each other."""
    fields: dict[str, Any] = {
        name: (field.annotation, field) for name, field in RunSpec.model_fields.items()
    }
    return create_model(
        "Options", __config__=ConfigDict(extra="forbid", allow_inf_nan=False), **fields
    )


def _value(option: str, given: Any) -> Any:
    """One value of an option of a run, of the type that a RunSpec gives it."""
    if given == "none" and "none" in OPTIONS.get(option, {}):
        return given  # no penalty, as one of several
    try:
        return getattr(_schema().model_validate({option: given}), option)
    except ValidationError as error:
        raise _OptionError(option, first_line(error, RunSpec.model_fields)) from None


def _kinds(option: str) -> set[Any]:
    """The types that a value of the option may have."""

    def within(annotation: Any) -> set[Any]:
        inner = () if get_origin(annotation) in (tuple, Literal) else get_args(annotation)
        return {get_origin(annotation) or annotation}.union(*map(within, inner))

    return within(RunSpec.model_fields[option].annotation)


def is_whole(option: str) -> bool:
    """Whether an option takes whole numbers only."""
    return int in _kinds(option)


def separator_of(option: str) -> str:
    """What stands between several values of an option: ``,``, or ``;`` where one may hold that."""
    return ";" if tuple in _kinds(option) or option in FREE_TEXT else ","


def alternatives(option: str, written: Any) -> tuple[Any, ...]:
    """The values that an option is to take, from what the user wrote.

    Args:
        option: of a run.
        written: a text as on the command line, one value, or a list of values. Texts of numbers
            may be ranges: one with a count stands for its values; one without stays as it is.

    Raises:
        ValueError: a value is none of this option, or there is none.

    Example:
        >>> from gradus.sweep.specification import alternatives
        >>> alternatives("lr", "10,0.1"), alternatives("lr", "log:1e-3:0.1:3")
        ((10.0, 0.1), (0.001, 0.01, 0.1))
        >>> alternatives("hidden", "64;512,512"), alternatives("lr", "log:1e-3:0.1")
        (((64,), (512, 512)), ('log:1e-3:0.1',))
    """
    if option not in RunSpec.model_fields:
        _value(option, written)  # says so, and which is meant
    parts = [written]
    if isinstance(written, str):
        parts = [part.strip() for part in written.split(separator_of(option)) if part.strip()]
    elif isinstance(written, list | tuple):
        parts = list(written)
    values: list[Any] = []
    for part in parts:
        values += _expanded(option, part)
    if not values:
        example = separator_of(option).join(("A", "B"))
        raise _OptionError(option, f"{flag(option)}: has no value; give some, as {example}")
    if len(values) > 1 and (drawn := [value for value in values if open_range(option, value)]):
        raise _OptionError(
            option, f"{flag(option)}: {drawn[0]} has no count, and so stands for itself alone"
        )
    return tuple(dict.fromkeys(values))


def open_range(option: str, value: Any) -> Range | None:
    """The range that a value of an option stands for, where it is one to draw from."""
    numeric = {int, float} & _kinds(option)
    return Range.read(value) if numeric and Range.is_written(value) else None


def _expanded(option: str, part: Any) -> tuple[Any, ...]:
    try:
        written = open_range(option, part)
    except ValueError as error:
        raise _OptionError(option, f"{flag(option)} {part}: {error}") from None
    if written is None:
        return (_value(option, part),)
    for bound in (written.low, written.high):
        _value(option, bound)
    if written.count is None:
        return (part,)
    return tuple(_value(option, value) for value in written.values(whole=is_whole(option)))


def _underscored(given: Any) -> Any:
    """Keys may be written as the command line does: ``batch-size``."""
    if not isinstance(given, Mapping):
        return given
    return {str(name).replace("-", "_"): value for name, value in given.items()}


def _single(given: dict[str, Any]) -> dict[str, Any]:
    return {name: _value(name, value) for name, value in given.items() if value is not None}


def _several(given: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    return {name: alternatives(name, value) for name, value in given.items()}


Single = Annotated[dict[str, Any], BeforeValidator(_underscored), AfterValidator(_single)]
Several = Annotated[dict[str, Any], BeforeValidator(_underscored), AfterValidator(_several)]


class Point(BaseModel):
    """A base point, and what varies around it.

    Example:
        >>> from gradus.sweep import Point
        >>> Point(base={"method": "adam", "lr": 0.001}, vary={"lr": "0.1,0.01"}).vary
        {'lr': (0.1, 0.01)}
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: Single = Field(default={}, description="options with one value")
    vary: Several = Field(default={}, description="options with several values")

    @model_validator(mode="before")
    @classmethod
    def _keys(cls, given: Any) -> Any:
        return _underscored(given)


class SweepSpec(BaseModel):
    """Everything that determines a sweep: which runs there are, and how they are searched.

    Options of runs stand in ``base`` with one value and in ``vary`` with several. Several values
    are a tuple, or a text as on the command line: ``"10,0.1,0.001"``; the range ``"log:1e-5:1:7"``
    stands for 7 values, and ``"log:1e-5:1"`` for any, where a search draws them.

    Where a choice (of a method, a schedule, a model, a penalty, a sampling) varies, the options
    that one of its values does not take are left out there.

    Args:
        base: options of every run.
        vary: options with several values, at every point.
        around: base points, each with options of its own; none: one point, which is ``base``.
        search: ``grid``, all combinations; ``one-at-a-time``, each option for itself around the
            base points; ``random``; ``optuna``.
        seeds: how often each configuration is trained, with seeds from its own seed on.
        trials: how many configurations ``random`` and ``optuna`` draw.
        sampler: of Optuna: ``tpe`` | ``gp`` | ``qmc`` | ``random``.
        storage: where Optuna keeps its trials, a URL as ``sqlite:///trials.db``.
        prune: ``halving`` or ``asha`` end runs early that do worse than others.
        eta: every how many-th run goes on from each rung of pruning.
        first_rung: the epoch after which pruning first compares.

    Raises:
        pydantic.ValidationError: (a ValueError) something is unknown, out of its range, or has no
            meaning beside the rest.

    Example:
        >>> from gradus.sweep import SweepSpec, runs_of
        >>> spec = SweepSpec(base={"epochs": 2}, vary={"lr": "0.1,0.01", "momentum": (0, 0.9)})
        >>> [(run.lr, run.momentum) for run in runs_of(spec)]
        [(0.1, 0.0), (0.1, 0.9), (0.01, 0.0), (0.01, 0.9)]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: Single = Field(default={}, description="options of every run, with one value")
    vary: Several = Field(default={}, description="options with several values")
    around: tuple[Point, ...] = Field(default=(), description="base points")
    search: SearchName = Field(default="grid", description="which combinations are trained")
    seeds: int = Field(default=1, ge=1, description="runs of each configuration, by their seeds")
    trials: int | None = Field(
        default=None, ge=1, description="configurations that random and optuna draw"
    )
    sampler: SamplerName = Field(default="tpe", description="how Optuna proposes")
    storage: str | None = Field(
        default=None, description="URL where Optuna keeps its trials, as sqlite:///trials.db"
    )
    prune: PruneName | None = Field(default=None, description="end hopeless runs early")
    eta: int = Field(default=3, ge=2, description="every how many-th run goes on, in pruning")
    first_rung: int = Field(default=1, ge=1, description="epochs before pruning first compares")

    @model_validator(mode="before")
    @classmethod
    def _keys(cls, given: Any) -> Any:
        """Keys as the command line writes them; a single base point need not be a list."""
        given = _underscored(given)
        if isinstance(given, dict) and isinstance(given.get("around"), Mapping):
            return {**given, "around": (given["around"],)}
        return given

    @model_validator(mode="after")
    def _meaningful(self) -> SweepSpec:
        """Refuse what has no meaning beside the rest."""
        for wrong, option, message in self._contradictions():
            if wrong:
                raise _OptionError(option, f"{flag(option)} {message}")
        for option, values in self._all_varied():
            if self.search not in DRAWN and open_range(option, values[0]):
                raise _OptionError(
                    option,
                    f"{flag(option)} {values[0]}: how many values? Write {values[0]}:7, "
                    "or draw from it by --search random",
                )
        if not (self.vary or self.around or self.seeds > 1):
            raise _OptionError(
                "vary", "nothing varies: give an option several values, as --lr 0.1,0.01"
            )
        return self

    def _contradictions(self) -> list[tuple[bool, str, str]]:
        """What may be wrong: whether it is, with which option, and what is said of it."""
        drawn, optuna, pruned = self.search in DRAWN, self.search == "optuna", self.prune
        varied = {option for option, _ in self._all_varied()}
        usual = RunSpec.model_fields["epochs"].default
        epochs = {point.base.get("epochs", usual) for point in self.points}
        lengths = "compares runs of the same length: give --epochs one value"
        engines = {
            engine
            for point in self.points
            for engine in (point.base.get("engine"), *point.vary.get("engine", ()))
        }
        rung = f"{self.first_rung}: nothing would be compared, of --epochs {max(epochs)}"
        simultaneous = "halving compares all runs at once: take --prune asha with --search optuna"
        return [
            (drawn and self.trials is None, "search", f"{self.search} needs --trials"),
            (drawn and not varied, "search", f"{self.search} needs an option to vary, as "
             "--lr log:1e-5:1"),
            (not drawn and self.trials is not None, "trials", "needs --search random or optuna"),
            (not optuna and self.storage is not None, "storage", "needs --search optuna"),
            (not optuna and self.sampler != "tpe", "sampler", "needs --search optuna"),
            (self.seeds > 1 and "seed" in varied, "seeds", "is given, and --seed varies: "
             "give one of them"),
            (not pruned and self.eta != 3, "eta", "needs --prune halving or asha"),
            (not pruned and self.first_rung != 1, "first_rung", "needs --prune halving or asha"),
            (bool(pruned) and ("epochs" in varied or len(epochs) > 1), "prune", lengths),
            (bool(pruned) and self.first_rung >= max(epochs), "first_rung", rung),
            (optuna and pruned == "halving", "prune", simultaneous),
            (bool(pruned) and "stacked" in engines, "prune", "needs runs that pause, which "
             "--engine stacked does not do: leave out one of them"),
        ]  # fmt: skip

    def _all_varied(self) -> list[tuple[str, tuple[Any, ...]]]:
        return [varied for point in self.points for varied in point.vary.items()]

    @property
    def points(self) -> tuple[Point, ...]:
        """The base points, each with what is given for all of them."""
        own = self.around or (Point(),)
        # Every part has been read: nothing is checked twice.
        return tuple(
            Point.model_construct(base=self.base | point.base, vary=self.vary | point.vary)
            for point in own
        )

    @classmethod
    def read(
        cls,
        values: Mapping[str, Any],
        *,
        where: str | Callable[[tuple[Any, ...]], str] = "",
    ) -> SweepSpec:
        """A sweep from what the user wrote; what is wrong is said in one line.

        Args:
            values: the fields of a SweepSpec by name.
            where: what the values were read from, for the message; or a function that says so of
                the keys and positions that lead to what is wrong.

        Raises:
            InputError: the first thing that is wrong.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            path, message = _first_wrong(error)
            said = where if isinstance(where, str) else where(path)
            raise InputError(said + message) from None


def _first_wrong(error: ValidationError) -> tuple[tuple[Any, ...], str]:
    """The first thing that is wrong: the keys that lead to it, and what is said."""
    found = error.errors(include_url=False)[0]
    path: tuple[Any, ...] = found["loc"]
    if found["type"] == "extra_forbidden":
        known = (Point if "around" in path else SweepSpec).model_fields
        name = str(path[-1])
        if name in RunSpec.model_fields:
            return path, f"{name}: is an option of runs: write it under base or vary"
        return path, f"{name}: no such key{nearest(name, [*known])}"
    wrong = found.get("ctx", {}).get("error")
    if isinstance(wrong, _OptionError):
        return (*path, wrong.option), str(wrong)
    if len(path) > 1 or path[0] in ("base", "vary", "around"):
        return path, f"{path[-1]}: is no table of options: write base = {{ lr = 0.1 }}"
    return path, first_line(error, SweepSpec.model_fields)


def from_options(options: Mapping[str, Any], start: SweepSpec | None = None) -> SweepSpec:
    """The sweep that the options of the command line mean.

    Args:
        options: of runs, each with one value or several as text (``"10,0.1,0.001"``; ``;`` stands
            between several of ``hidden``, ``betas``, ``drop``, ``categorical``, ``data`` and
            ``target``, which may hold a comma), and of the sweep (``search``, ``seeds``, ...);
            None: not given.
        start: the sweep of a file, which the options change at every one of its points.

    Raises:
        InputError: the first thing that is wrong.

    Example:
        >>> from gradus.sweep import from_options
        >>> spec = from_options({"lr": "10,0.1", "hidden": "64;512,512", "epochs": "3"})
        >>> spec.base, spec.vary
        ({'epochs': 3}, {'lr': (10.0, 0.1), 'hidden': ((64,), (512, 512))})
    """
    given = {name: value for name, value in options.items() if value is not None}
    parts = {"base", "vary", "around"}
    own = {name: given.pop(name) for name in SweepSpec.model_fields if name in given.keys() - parts}
    base: dict[str, Any] = {}
    vary: dict[str, tuple[Any, ...]] = {}
    for option, written in given.items():
        try:
            values = alternatives(option, written)
        except _OptionError as error:
            raise InputError(str(error)) from None
        if len(values) > 1 or open_range(option, values[0]):
            vary[option] = values
        else:
            base[option] = values[0]
    if start is None:
        return SweepSpec.read({**own, "base": base, "vary": vary})

    def kept(old: Mapping[str, Any]) -> dict[str, Any]:
        return {option: value for option, value in old.items() if option not in given}

    around = [{"base": kept(point.base), "vary": kept(point.vary)} for point in start.around]
    unchanged = start.model_dump(exclude={"base", "vary", "around"})
    options = {"base": kept(start.base) | base, "vary": kept(start.vary) | vary, "around": around}
    return SweepSpec.read({**unchanged, **own, **options})


def read_toml(path: Path) -> SweepSpec:
    """The sweep that a TOML file holds; what is wrong is said with its line.

    Raises:
        InputError: there is no such file, it is not TOML, or not the specification of a sweep.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the TOML file of a sweep") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not the specification of a sweep: {error}") from None

    def where(keys: tuple[Any, ...]) -> str:
        line = _line(text, keys)
        return f"{path}: " if line is None else f"{path}, line {line}: "

    return SweepSpec.read(content, where=where)


def to_toml(spec: SweepSpec) -> str:
    """The sweep as TOML, which ``read_toml`` reads back as an equal one.

    What stands at its default is left out.

    Example:
        >>> from gradus.sweep import SweepSpec, to_toml
        >>> print(to_toml(SweepSpec(base={"epochs": 2}, vary={"lr": "0.1"}, seeds=3)))
        seeds = 3
        <BLANKLINE>
        [base]
        epochs = 2
        <BLANKLINE>
        [vary]
        lr = [
            0.1,
        ]
        <BLANKLINE>
    """
    return tomli_w.dumps(spec.model_dump(exclude_defaults=True))


def _line(text: str, keys: tuple[Any, ...]) -> int | None:
    """The line on which the value stands that keys and positions lead to, counted from 1.

    A value begins where the lines above are TOML without it, and is there once lines are TOML
    with it, however it is written.
    """
    lines = text.splitlines()
    above = 0
    for end in range(1, len(lines) + 1):
        try:
            content = tomllib.loads("\n".join(lines[:end]))
        except tomllib.TOMLDecodeError:
            continue
        if _holds(content, keys):
            return above + 1
        above = end
    return None


def _holds(content: Any, keys: tuple[Any, ...]) -> bool:
    for key in keys:
        if isinstance(content, Mapping):
            content = _underscored(content)
            if key not in content:
                return False
        elif not (isinstance(content, list) and isinstance(key, int) and key < len(content)):
            return False
        content = content[key]
    return True
