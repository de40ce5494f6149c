"""Which runs are trained next: asked for in batches, told what came out."""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from gradus.errors import InputError, quoted
from gradus.models.own import check_named
from gradus.runs.spec import RunSpec, run_id
from gradus.sweep import earlier
from gradus.sweep.ranges import Range
from gradus.sweep.received import models_of
from gradus.sweep.space import drawn, repeated, runs_of, shown
from gradus.sweep.specification import SweepSpec
from gradus.sweep.values import is_whole

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.samplers import BaseSampler

SPACE, RUNS, LOST = "gradus space", "gradus runs", "gradus lost"
"""Under which names a study keeps what it searches, a trial its runs, and a study the value of lost
trials."""

FIRST = 5
"""Trials that end well before it is settled what those that are lost are told."""


class Search(ABC):
    """A sweep's runs, in batches.

    Example:
        >>> from gradus.sweep import SweepSpec, search_of
        >>> search = search_of(SweepSpec(vary={"lr": "1,0.1,0.01"}))
        >>> [run.lr for run in search.ask(2)], [run.lr for run in search.ask(2)], search.ask(2)
        ([1.0, 0.1], [0.01], [])
    """

    at_once: ClassVar[int] = 1
    """It is asked for so many runs at least, where a block of them is trained together."""

    @property
    def waits(self) -> bool:
        """Whether what comes out of runs under way may let it ask for more."""
        return False

    @abstractmethod
    def ask(self, n: int) -> list[RunSpec]:
        """The next runs, n at most, each once; none: there are no more."""

    @abstractmethod
    def tell(self, run: str, value: float | None) -> None:
        """What came out of a run.

        What is known of a run that was not asked for is told too: it is not asked for then. A run
        that has been told already stays as it was told.

        Args:
            run: its id.
            value: its measure, less being better, where it was cut if it was; None, or a number
                that is not finite: it diverged or was stopped, and is worse than any.
        """


class Listed(Search):
    """Runs that are known from the start: a grid, one at a time, or drawn without looking."""

    def __init__(self, runs: list[RunSpec]) -> None:
        self._runs = deque((run_id(run), run) for run in runs)
        self._told: set[str] = set()

    def ask(self, n: int) -> list[RunSpec]:  # noqa: D102  (said by Search)
        asked: list[RunSpec] = []
        while self._runs and len(asked) < n:
            name, run = self._runs.popleft()
            if name not in self._told:
                asked.append(run)
        return asked

    def tell(self, run: str, value: float | None) -> None:  # noqa: D102  (said by Search)
        self._told.add(run)


class OptunaSearch(Search):
    """Runs that Optuna proposes by what came out of others.

    A trial is one configuration. It is told the mean of the measure over its seeds, less being
    better. Where one of its runs is lost (it diverged or was stopped), it is told a finite
    value worse than any other, so that every sampler learns where runs are lost: as far beyond
    the worst as that is from the best, once `FIRST` trials have ended well, and the same from
    then on. Values of later trials that come out worse are told as less than that. A trial that
    comes to runs already told is told at once, and nothing is trained for it.

    A study in a storage goes on where it stopped: its trials count, those without an end ask for
    their runs again, and those told are not told twice.

    Args:
        spec: of a sweep whose search is ``optuna``.
        name: of the study in the storage.
        sampler: of Optuna; None: the one of the spec, drawing from the seed of the base.

    Raises:
        InputError: Optuna is not installed, the storage cannot be had, or its study of this name
            searches another space.

    Example:
        >>> from gradus.runs.spec import run_id
        >>> from gradus.sweep import OptunaSearch, SweepSpec
        >>> spec = SweepSpec(vary={"lr": "log:1e-4:1"}, search="optuna", trials=3)
        >>> search = OptunaSearch(spec)
        >>> for run in search.ask(3):
        ...     search.tell(run_id(run), abs(run.lr - 0.1))
        >>> len(search.study.trials), search.ask(1)
        (3, [])
    """

    def __init__(
        self, spec: SweepSpec, name: str = "sweep", sampler: BaseSampler | None = None
    ) -> None:
        self._spec = spec
        self.study: Study = _study(spec, name, sampler)
        self._queue: deque[tuple[str, RunSpec]] = deque()
        self._asked: set[str] = set()
        self._told: dict[str, float | None] = {}
        self._waiting: dict[int, list[str]] = {}
        self._lost: list[int] = []
        self._values: list[float] = []
        self._left = spec.trials or 0
        self._left -= self._resumed()

    def ask(self, n: int) -> list[RunSpec]:  # noqa: D102  (said by Search)
        asked: list[RunSpec] = []
        while len(asked) < n:
            if self._queue:
                name, run = self._queue.popleft()
                if name not in self._told:
                    asked.append(run)
            elif self._left > 0:
                self._left -= 1
                self._propose()
            else:
                break
        self._tell_lost()
        return asked

    def tell(self, run: str, value: float | None) -> None:  # noqa: D102  (said by Search)
        if run in self._told:
            return
        self._told[run] = value if value is not None and math.isfinite(value) else None
        for number in [number for number, runs in self._waiting.items() if run in runs]:
            self._settle(number)

    def _resumed(self) -> int:
        """Take up the trials that the study has; says how many count."""
        from optuna.trial import TrialState

        count = 0
        for trial in self.study.get_trials(deepcopy=False):
            runs = trial.user_attrs.get(RUNS)
            if trial.state is TrialState.RUNNING and runs is None:
                # Stopped between the proposal and the note of its runs: nobody trains it.
                self.study.tell(trial.number, state=TrialState.FAIL)
            elif trial.state is TrialState.RUNNING and runs is not None:
                self._await(trial.number, self._runs_of(runs))
                count += 1
            elif trial.state is not TrialState.FAIL:
                count += 1
            if trial.state is TrialState.COMPLETE and trial.value is not None:
                self._values.append(trial.value)
        return count

    def _runs_of(self, written: Any) -> list[RunSpec]:
        """The runs of a trial, as the storage has them.

        Raises:
            InputError: they are damaged, or of a model that the sweep does not name.
        """
        where = f"the study of {self.study.study_name}"
        try:
            runs = [earlier.run_of(dict(json.loads(run))) for run in written]
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(f"{where}: a trial of it is damaged: {quoted(error)}") from None
        check_named([run.model for run in runs], where, named=models_of(self._spec))
        return runs

    def _propose(self) -> None:
        from optuna.trial import TrialState

        with _quiet():
            trial = self.study.ask()
            try:
                proposed = drawn(self._spec, _Suggestions(trial))
            except InputError:
                self.study.tell(trial, state=TrialState.FAIL)
                raise
        runs = repeated(proposed, self._spec)
        trial.set_user_attr(RUNS, [run.model_dump_json(exclude_none=True) for run in runs])
        self._await(trial.number, list(runs))

    def _await(self, number: int, runs: list[RunSpec]) -> None:
        named = [(run_id(run), run) for run in runs]
        self._waiting[number] = [name for name, _ in named]
        self._queue.extend((name, run) for name, run in named if name not in self._asked)
        self._asked.update(self._waiting[number])
        self._settle(number)

    def _settle(self, number: int) -> None:
        """Tell a trial all of whose runs have been told."""
        runs = self._waiting[number]
        if not all(run in self._told for run in runs):
            return
        del self._waiting[number]
        values = [value for run in runs if (value := self._told[run]) is not None]
        if len(values) < len(runs):
            self._lost.append(number)
        else:
            worst = self.study.user_attrs.get(LOST)
            value = sum(values) / len(values)
            self.study.tell(number, value if worst is None else min(value, worst["above"]))
            self._values.append(value)
        self._tell_lost()

    def _tell_lost(self) -> None:
        """Tell the trials that are lost, once it can be said what is worse than any."""
        from optuna.trial import TrialState

        if not self._lost:
            return
        last = self._left <= 0 and not self._waiting
        worst = self.study.user_attrs.get(LOST)
        if worst is None and len(self._values) >= (1 if last else FIRST):
            low, high = min(self._values), max(self._values)
            spread = (high - low) or abs(high) or 1.0
            worst = {"value": high + spread, "above": high + spread / 2}
            self.study.set_user_attr(LOST, worst)
        if worst is not None:
            for number in self._lost:
                self.study.tell(number, worst["value"])
        elif last:
            for number in self._lost:
                self.study.tell(number, state=TrialState.PRUNED)
        else:
            return
        self._lost = []


class _Suggestions:
    """What a trial of Optuna picks, for `drawn`."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial

    def __call__(self, name: str, option: str, values: tuple[Any, ...] | Range) -> Any:
        if not isinstance(values, Range):
            # A storage keeps no tuples: they stand in it as they are written.
            kept = [shown(value) if isinstance(value, tuple) else value for value in values]
            return values[kept.index(self._trial.suggest_categorical(name, kept))]
        log = values.scale == "log"
        if is_whole(option):
            return self._trial.suggest_int(name, int(values.low), int(values.high), log=log)
        return self._trial.suggest_float(name, values.low, values.high, log=log)


def search_of(spec: SweepSpec, name: str = "sweep") -> Search:
    """The search of a sweep.

    Raises:
        InputError: the runs cannot be listed (see ``runs_of``), or Optuna's storage not be had.
    """
    if spec.search == "optuna":
        return OptunaSearch(spec, name)
    return Listed(runs_of(spec))


def _study(spec: SweepSpec, name: str, sampler: BaseSampler | None) -> Study:
    """The study of this name, new or as the storage has it."""
    try:
        import optuna
    except ModuleNotFoundError:
        raise InputError(
            "--search optuna: Optuna is not installed; pip install 'gradus[optuna]'"
        ) from None
    try:
        with _quiet():
            study = optuna.create_study(
                storage=spec.storage, study_name=name, direction="minimize", load_if_exists=True
            )
    except Exception as error:  # of SQLAlchemy, of its drivers, of Optuna: no class in common
        said = quoted(str(error).splitlines()[0] if str(error) else error)
        raise InputError(
            f"--storage {quoted(spec.storage)}: cannot be had: {said}; give a URL as sqlite:///trials.db"
        ) from error
    space = _space(spec)
    if study.user_attrs.get(SPACE, space) != space or (
        study.get_trials(deepcopy=False) and SPACE not in study.user_attrs
    ):
        raise InputError(
            f"--storage {spec.storage}: its study {name} searches another space; "
            "give another name or storage"
        )
    study.set_user_attr(SPACE, space)
    study.sampler = sampler or _sampler(spec, len(study.get_trials(deepcopy=False)))
    return study


def _sampler(spec: SweepSpec, trials: int) -> BaseSampler:
    """The sampler of the spec; one that goes on after some trials does not draw them again."""
    from optuna import samplers

    seed = (spec.base.get("seed", 0) + trials) % 2**32
    with _quiet():
        if spec.sampler == "gp":
            return samplers.GPSampler(seed=seed)
        if spec.sampler == "qmc":
            # Its sequence goes on by the number of trials, and so keeps the first seed.
            return samplers.QMCSampler(seed=spec.base.get("seed", 0) % 2**32)
        if spec.sampler == "random":
            return samplers.RandomSampler(seed=seed)
        # Trials of one batch shall not all be proposed at the same place.
        return samplers.TPESampler(seed=seed, constant_liar=True)


def _space(spec: SweepSpec) -> str:
    """A digest of what is searched, which more trials or another sampler leave as it is."""
    # What held for all sweeps before it could be said stays out: their studies go on.
    points = [point.model_dump(mode="json") for point in spec.points]
    if all(spec.base.get(name) == value for name, value in earlier.THEN.items()):
        for point in points:
            for name in (*earlier.THEN, "log_every"):
                point["base"].pop(name, None)
    canonical = json.dumps([points, spec.seeds], sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what Optuna logs of new studies and warns of features it calls experimental."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
