"""What is swept: one schema for the command line, TOML files and Python."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from gradus.errors import InputError, quoted
from gradus.runs.choices import OPTIONS, flag
from gradus.runs.parts.training import full_measure
from gradus.runs.selection import column_of
from gradus.runs.spec import RunSpec, first_line, nearest
from gradus.runs.table_defaults import prepared_by_default
from gradus.runs.words import as_call
from gradus.sweep.units import UNITS, is_loss, measures_beside, of_several_units
from gradus.sweep.values import OptionError, alternatives, open_range, value_of

SearchName = Literal["grid", "one-at-a-time", "random", "optuna"]
SamplerName = Literal["tpe", "gp", "qmc", "random"]
PruneName = Literal["halving", "asha"]
KeepModelsName = Literal["best", "all", "none"]
DRAWN = ("random", "optuna")
"""The searches that draw their runs, one trial after another."""


DEFAULT_MEASURE = "validation-loss"
"""What runs are compared by where nothing is said of it."""


def underscored(given: Any) -> Any:
    """Keys may be written as the command line does: ``batch-size``."""
    if not isinstance(given, Mapping):
        return given
    return {str(name).replace("-", "_"): value for name, value in given.items()}


def _single(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value_of(name, value) for name, value in given.items() if value is not None}


def _several(given: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    return {name: alternatives(name, value) for name, value in given.items()}


Single = Annotated[dict[str, Any], BeforeValidator(underscored), AfterValidator(_single)]
Several = Annotated[dict[str, Any], BeforeValidator(underscored), AfterValidator(_several)]


AS_DICT = 'give a dict, as {"lr": 0.1}'


class _Options(BaseModel):
    """Options with one value, and with several."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: Single = Field(default={}, description="options with one value")
    vary: Several = Field(default={}, description="options with several values")

    @model_validator(mode="before")
    @classmethod
    def _keys(cls, given: Any) -> Any:
        return underscored(given)


class Point(_Options):
    """A base point, and what varies around it.

    Raises:
        InputError: (a ValueError) an option is unknown or out of its range.

    Example:
        >>> from gradus.sweep import Point
        >>> Point(base={"method": "adam", "lr": 0.001}, vary={"lr": "0.1,0.01"}).vary
        {'lr': (0.1, 0.01)}
    """

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            _, message = _first_wrong(error, AS_DICT, of=Point)
            raise InputError(as_call(message)) from None


def _point(given: _Options) -> Point:
    """What was read already, in a sweep's list of base points."""
    return Point.model_construct(base=given.base, vary=given.vary)


class SweepSpec(BaseModel):
    """Everything that determines a sweep: which runs there are, and how they are searched.

    Options of runs stand in ``base`` with one value and in ``vary`` with several. Several values
    are a tuple, or a text as on the command line: ``"10,0.1,0.001"``; the range ``"log:1e-5:1:7"``
    stands for 7 values, and ``"log:1e-5:1"`` for any, where a search draws them.

    ``measure``, an option of the base, is what runs are compared by: ``validation-loss``, unless
    another is given. Data that are known by name hold 15 % of their training examples for
    validation here, unless ``validation_fraction`` says otherwise. Where options vary on which it
    depends what a loss is a number of (``loss``, ``standardize_target``, ...), the measure has to
    be another figure.

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
        keep_models: whose parameters are kept: those of the ``best`` configuration (with several
            seeds, of its first), of ``all`` runs that were trained to their end, or of ``none``.

    Raises:
        InputError: (a ValueError) something is unknown, out of its range, or has no meaning beside
            the rest.

    Example:
        >>> from gradus.sweep import SweepSpec, runs_of
        >>> spec = SweepSpec(base={"epochs": 2}, vary={"lr": "0.1,0.01", "momentum": (0, 0.9)})
        >>> [(run.lr, run.momentum) for run in runs_of(spec)]
        [(0.1, 0.0), (0.1, 0.9), (0.01, 0.0), (0.01, 0.9)]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: Single = Field(default={}, description="options of every run, with one value")
    vary: Several = Field(default={}, description="options with several values")
    around: tuple[Annotated[_Options, AfterValidator(_point)], ...] = Field(
        default=(), description="base points"
    )
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

    keep_models: KeepModelsName = Field(
        default="best", description="whose parameters are kept: the best configuration's"
    )

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            _, message = _first_wrong(error, AS_DICT)
            raise InputError(as_call(message)) from None

    @model_validator(mode="before")
    @classmethod
    def _keys(cls, given: Any) -> Any:
        """Keys as the command line writes them; a single base point need not be a list."""
        given = underscored(given)
        if not isinstance(given, dict):
            return given
        if isinstance(given.get("around"), Mapping):
            given["around"] = (given["around"],)
        base = underscored(given.get("base", {}))
        if isinstance(base, dict):
            given["base"] = {"measure": DEFAULT_MEASURE, **base}
        return given

    @model_validator(mode="after")
    def _meaningful(self) -> SweepSpec:
        """Refuse what has no meaning beside the rest."""
        for wrong, option, message in self._contradictions():
            if wrong:
                raise OptionError(option, f"{flag(option)} {message}")
        for option, values in self._all_varied():
            if self.search not in DRAWN and open_range(option, values[0]):
                raise OptionError(
                    option,
                    f"{flag(option)} {quoted(values[0])}: how many values? Write "
                    f"{quoted(values[0])}:7, "
                    "or draw from it by --search random",
                )
        if not (self.vary or self.around or self.seeds > 1):
            raise OptionError(
                "vary", "nothing varies: give an option several values, as --lr 0.1,0.01"
            )
        return self

    def _contradictions(self) -> list[tuple[bool, str, str]]:
        """What may be wrong: whether it is, with which option, and what is said of it."""
        drawn, optuna, pruned = self.search in DRAWN, self.search == "optuna", self.prune
        varied = {option for option, _ in self._all_varied()}
        epochs = {_epochs(point) for point in self.points}
        known = [each for each in epochs if each is not None]
        lengths = "compares runs of the same length: give --epochs one value"
        engines = {
            engine
            for point in self.points
            for engine in (point.base.get("engine"), *point.vary.get("engine", ()))
        }
        longest = max(known, default=math.inf)
        rung = f"{self.first_rung}: nothing would be compared, of --epochs {longest}"
        simultaneous = "halving compares all runs at once: take --prune asha with --search optuna"
        own = [point.base.keys() | point.vary.keys() for point in self.around]
        units = self._of_units()
        mixed = of_several_units(units) if is_loss(self.measure) else None
        beside = "" if mixed is None else measures_beside(mixed, units[mixed])
        thresholds = self._values("threshold")
        measured = "measure" in varied or any("measure" in options for options in own)
        figure = str(self.base["measure"]).removeprefix("validation-")
        unheld = any(
            0 in point.vary.get("validation_fraction", (point.base.get("validation_fraction"),))
            for point in self.points
        )
        patient = any("patience" in {**point.base, **point.vary} for point in self.points)
        return [
            (mixed is not None, mixed or "", "varies, and losses of different units cannot be "
             f"ranked: give --measure {beside}"),
            (len(thresholds) > 1, "threshold", "decides once a run is trained, and no measure of a "
             "sweep goes by it: give it one value"),
            (any(self._values("metrics")), "metrics", "are figures of one run, which a sweep does "
             "not keep: leave them out; --measure says what it compares by"),
            (measured, "measure", "is what all runs are compared by: give it one value, in base"),
            (unheld and self.measure.startswith("validation"), "measure",
             f"{self.base['measure']}: --validation-fraction 0 holds no examples for it; give "
             f"--measure test-{figure}, or hold some"),
            (bool(pruned) and patient, "patience", "ends runs by themselves, and --prune by "
             "comparison: leave out one of them"),
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
            (bool(pruned) and self.first_rung >= longest, "first_rung", rung),
            (optuna and pruned == "halving", "prune", simultaneous),
            (bool(pruned) and "stacked" in engines, "prune", "needs runs that pause, which "
             "--engine stacked does not do: leave out one of them"),
        ]  # fmt: skip

    def _of_units(self) -> dict[str, set[Any]]:
        """The values that decide what the losses of runs are numbers of."""
        usual = {name: value for options in OPTIONS["loss"].values()
                 for name, value in options.items()}  # fmt: skip
        return {option: self._values(option, usual.get(option)) for option in UNITS}

    def _values(self, option: str, usual: Any = None) -> set[Any]:
        """The values of an option over all points, where nothing is said the usual one."""
        return {
            value
            for point in self.points
            for value in point.vary.get(option, (point.base.get(option, usual),))
        }

    def _all_varied(self) -> list[tuple[str, tuple[Any, ...]]]:
        return [varied for point in self.points for varied in point.vary.items()]

    @property
    def measure(self) -> str:
        """The column by which runs are compared: ``validation_loss`` unless the base says."""
        return column_of(full_measure(self.base["measure"]))

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
        spec = cls.__new__(cls)
        try:
            BaseModel.__init__(spec, **values)  # whose errors are said in the words of flags here
        except ValidationError as error:
            path, message = _first_wrong(error)
            said = where if isinstance(where, str) else where(path)
            raise InputError(said + message) from None
        return spec


def _epochs(point: Point) -> int | None:
    """The epochs of the runs around a point; None where they follow from the size of data."""
    data = point.vary.get("data", (point.base.get("data"),))
    sized = any(prepared_by_default(each) is not None for each in data)
    usual = None if sized else RunSpec.model_fields["epochs"].default
    given: int | None = point.base.get("epochs", usual)
    return given


def _first_wrong(
    error: ValidationError,
    right: str = "write base = { lr = 0.1 }",
    of: type[BaseModel] | None = None,
) -> tuple[tuple[Any, ...], str]:
    """The first thing that is wrong: the keys that lead to it, and what is said."""
    found = error.errors(include_url=False)[0]
    path: tuple[Any, ...] = found["loc"]
    if found["type"] == "extra_forbidden":
        known = (of or (Point if "around" in path else SweepSpec)).model_fields
        name = str(path[-1])
        if name in RunSpec.model_fields:
            return path, f"{name}: is an option of runs: write it under base or vary"
        return path, f"{quoted(name)}: no such key{nearest(name, [*known])}"
    wrong = found.get("ctx", {}).get("error")
    if isinstance(wrong, OptionError):
        return (*path, wrong.option), str(wrong)
    if len(path) > 1 or path[0] in ("base", "vary", "around"):
        return path, f"{quoted(path[-1])}: is no table of options: {right}"
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
        >>> spec.base["epochs"], spec.vary
        (3, {'lr': (10.0, 0.1), 'hidden': ((64,), (512, 512))})
    """
    given = {name: value for name, value in options.items() if value is not None}
    parts = {"base", "vary", "around"}
    own = {name: given.pop(name) for name in SweepSpec.model_fields if name in given.keys() - parts}
    base: dict[str, Any] = {}
    vary: dict[str, tuple[Any, ...]] = {}
    for option, written in given.items():
        try:
            values = alternatives(option, written)
        except OptionError as error:
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
