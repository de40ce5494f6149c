"""Which runs a sweep holds, and which of them make a curve of curves."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from gradus.errors import InputError, quoted
from gradus.methods.catalogue import entries
from gradus.runs.choices import DEFAULT_CHOICES, OPTIONS, flag
from gradus.runs.parts.data import KNOWN_BY_NAME, OWN_PARTS, VALIDATION_FRACTION
from gradus.runs.spec import RunSpec, run_id
from gradus.sweep.ranges import Range
from gradus.sweep.specification import SweepSpec
from gradus.sweep.values import is_whole, open_range

ATTEMPTS = 100
"""Draws for each trial, before a space is taken to have no further run."""


@dataclass(frozen=True)
class Panel:
    """The runs in which one option alone changes, around one base point.

    Attributes:
        title: the method, the option that changes, and what the other options of the sweep are:
            ``SGD: lr (batch size 16, momentum 0.5)``.
        option: that changes.
        values: that it takes, in the order given.
        runs: ``[values, seeds]``, the ids of the runs; a run may stand in several panels.
    """

    title: str
    option: str
    values: tuple[Any, ...]
    runs: tuple[tuple[str, ...], ...]


def runs_of(spec: SweepSpec) -> list[RunSpec]:
    """The distinct runs of a sweep, in the order in which they are written, seeds innermost.

    The search ``random`` draws from the seed of the base: a longer sweep begins with the runs of a
    shorter one. ``optuna`` proposes runs by what came out of others: see ``search_of``.

    Raises:
        InputError: a combination makes no run, or there are fewer than ``trials``.

    Example:
        >>> from gradus.sweep import SweepSpec, runs_of
        >>> spec = SweepSpec(vary={"method": "sgd,adam", "momentum": "0,0.9"}, seeds=2)
        >>> [(run.method, run.momentum, run.seed) for run in runs_of(spec)]
        [('sgd', 0.0, 0), ('sgd', 0.0, 1), ('sgd', 0.9, 0), ('sgd', 0.9, 1), ('adam', None, 0), ('adam', None, 1)]
    """  # noqa: E501
    listed: dict[str, Callable[[SweepSpec], Iterator[RunSpec]]] = {
        "grid": _grid,
        "one-at-a-time": _one_at_a_time,
        "random": _random,
    }
    if spec.search not in listed:
        raise InputError(f"--search {spec.search}: proposes its runs one after another")
    configurations = dict.fromkeys(listed[spec.search](spec))
    return list(dict.fromkeys(run for chosen in configurations for run in repeated(chosen, spec)))


def repeated(run: RunSpec, spec: SweepSpec) -> tuple[RunSpec, ...]:
    """The run, and the same with the seeds that follow on its own; all see the same parts."""
    moved = ["seed", "split_seed"] if spec.base.get("split_seed") == OWN_PARTS else ["seed"]
    return tuple(
        run.model_copy(update={name: getattr(run, name) + i for name in moved})
        for i in range(spec.seeds)
    )


def panels_of(spec: SweepSpec) -> list[Panel]:
    """The panels of a one-at-a-time sweep: one for each base point and option; none of others.

    Example:
        >>> from gradus.sweep import SweepSpec, panels_of
        >>> vary = {"lr": "1,0.1", "momentum": "0,0.5,0.9"}
        >>> for panel in panels_of(SweepSpec(vary=vary, search="one-at-a-time")):
        ...     print(panel.title, panel.values)
        SGD: lr (momentum 0.5) (1.0, 0.1)
        SGD: momentum (lr 0.001) (0.0, 0.5, 0.9)
    """
    if spec.search != "one-at-a-time":
        return []
    return [
        Panel(
            _title(place, option),
            option,
            place.vary[option],
            tuple(tuple(map(run_id, repeated(run, spec))) for run in place.moved(option)),
        )
        for place in _places(spec)
        for option in place.axes()
    ]


def drawn(spec: SweepSpec, pick: Callable[[str, str, tuple[Any, ...] | Range], Any]) -> RunSpec:
    """One run of the sweep's space, by picking one value after another.

    Args:
        spec: of the sweep.
        pick: called with a name that is unique in the sweep, the option, and its values or the
            range; gives one of them. The base point is picked first, by its position, then
            choices, then what they leave to pick.
    """
    places = _places(spec)
    at = pick("around", "around", tuple(range(len(places)))) if len(places) > 1 else 0
    place = places[at]
    options = dict(place.base)
    for option in sorted(place.vary, key=lambda option: option not in OPTIONS):
        if option in place.left_out({**options, option: None}):
            continue
        name = option if len(places) == 1 else f"{option} around {at + 1}"
        values = place.vary[option]
        options[option] = pick(name, option, open_range(option, values[0]) or values)
    return place.run(options)


@dataclass(frozen=True)
class _Place:
    """A base point among the others.

    Attributes:
        base: options with one value, those for all points among them.
        vary: options with several.
        optional: those that are left out where a choice that varies does not take them.
        shared: those of ``optional`` that are given for all points, which choose differently.
    """

    base: Mapping[str, Any]
    vary: Mapping[str, tuple[Any, ...]]
    optional: frozenset[str]
    shared: frozenset[str]

    def left_out(self, options: Mapping[str, Any]) -> set[str]:
        """Which of the options have no meaning beside the choices made, and may be left out."""
        out: set[str] = set()
        for choice, table in OPTIONS.items():
            owned = {option for accepted in table.values() for option in accepted}
            out |= (owned & options.keys() & self.optional) - _accepted(choice, options).keys()
        return out

    def run(self, options: Mapping[str, Any], moving: str | None = None) -> RunSpec:
        """The run of a combination; what moves is never left out."""
        without = self.left_out(options) - {moving}
        without |= {name for name in ("penalty",) if options.get(name) == "none"}
        given = {name: value for name, value in options.items() if name not in without}
        if given.get("data", KNOWN_BY_NAME[0]) in KNOWN_BY_NAME:
            # A sweep chooses between runs: it holds examples for that where a single run does not.
            given.setdefault("validation_fraction", VALIDATION_FRACTION)
        try:
            spec = RunSpec.read(given)
            if spec.models > 1 and "models" not in spec.auto:
                raise InputError(
                    f"--models {spec.models}: a sweep trains one net a run; leave it out here, and "
                    "give it to gradus train with the settings that were found"
                )
            return spec.fixed
        except InputError as error:
            varied = [f"{flag(name)} {shown(given[name])}" for name in self.vary if name in given]
            beside = f" (with {' '.join(varied)})" if varied else ""
            raise InputError(f"{error}{beside}") from None

    def axes(self) -> list[str]:
        """The options that are moved one at a time: those for all points where they have sense."""
        foreign = self.left_out(dict.fromkeys(self.vary) | dict(self.base)) & self.shared
        return [option for option in self.vary if option not in foreign]

    def moved(self, option: str) -> list[RunSpec]:
        """The runs in which the option alone takes its values, the others being at the base."""
        return [self.run({**self.base, option: value}, option) for value in self.vary[option]]


def _accepted(choice: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options that belong to the choice made."""
    table = OPTIONS[choice]
    chosen = str(options.get(choice) or DEFAULT_CHOICES[choice])
    if chosen not in table and "*" not in table:
        raise InputError(
            f"{flag(choice)} {quoted(chosen)}: is code of your own, which is for one run by "
            f"itself; choose {' | '.join(table)}"
        )
    return table[chosen] if chosen in table else table["*"]


def _places(spec: SweepSpec) -> list[_Place]:
    points, own = spec.points, spec.around
    chosen = {
        choice: [
            [{choice: value} for value in point.vary.get(choice, (point.base.get(choice),))]
            for point in points
        ]
        for choice in OPTIONS
    }
    places = []
    for i, point in enumerate(points):
        optional: set[str] = set()
        shared: set[str] = set()
        for choice, per_point in chosen.items():
            here = [_accepted(choice, options).keys() for options in per_point[i]]
            all_points = [_accepted(choice, made).keys() for at in per_point for made in at]
            if len(here) > 1:
                optional = optional.union(*here)
            shared = shared.union(*all_points)
        if own:
            shared -= own[i].base.keys() | own[i].vary.keys()
        else:
            shared = set()
        places.append(
            _Place(point.base, point.vary, frozenset(optional | shared), frozenset(shared))
        )
    return places


def _grid(spec: SweepSpec) -> Iterator[RunSpec]:
    for place in _places(spec):
        for values in product(*place.vary.values()):
            yield place.run({**place.base, **dict(zip(place.vary, values, strict=True))})


def _one_at_a_time(spec: SweepSpec) -> Iterator[RunSpec]:
    for place in _places(spec):
        axes = place.axes()
        for option in axes:
            yield from place.moved(option)
        if not axes:
            yield place.run(place.base)


def _random(spec: SweepSpec) -> Iterator[RunSpec]:
    """Distinct draws: of a space with ranges one after another, else of all there are."""
    assert spec.trials is not None
    generator = random.Random(spec.base.get("seed", 0))
    varied = [item for point in spec.points for item in point.vary.items()]
    if any(open_range(option, values[0]) for option, values in varied):
        found: dict[RunSpec, None] = {}
        for _ in range(ATTEMPTS * spec.trials):
            found[drawn(spec, lambda name, option, values: _pick(generator, option, values))] = None
            if len(found) == spec.trials:
                break
        runs = list(found)
    else:
        runs = list(dict.fromkeys(_grid(spec)))
        # Sorting by drawn keys, not `shuffle`, whose algorithm Python does not promise to keep.
        keys = [generator.random() for _ in runs]
        runs = [run for _, run in sorted(zip(keys, runs, strict=True), key=lambda pair: pair[0])]
    if len(runs) < spec.trials:
        raise InputError(f"--trials {spec.trials}: there are {len(runs)} different runs; give less")
    yield from runs[: spec.trials]


def _pick(generator: random.Random, option: str, values: tuple[Any, ...] | Range) -> Any:
    if isinstance(values, Range):
        return values.at(generator.random(), whole=is_whole(option))
    return values[int(generator.random() * len(values))]


def shown(value: Any) -> str:
    """A value as it is written on the command line."""
    if isinstance(value, tuple):
        return ",".join(map(shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _title(place: _Place, option: str) -> str:
    run = place.moved(option)[0]
    others = [(name, getattr(run, name)) for name in place.axes() if name != option]
    told = [f"{name} {shown(value)}" for name, value in others if value is not None]
    title = (option + (f" ({', '.join(told)})" if told else "")).replace("_", " ")
    return title if option == "method" else f"{entries()[run.method].class_name}: {title}"
