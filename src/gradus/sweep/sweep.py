"""A sweep from its specification to its record, and the record as it is read."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

import pyarrow as pa
import pyarrow.compute as pc

from gradus.engine.selection import rises
from gradus.errors import InputError, quoted
from gradus.notebook import in_notebook
from gradus.runs.lock import locked
from gradus.runs.record import Run, open_run
from gradus.runs.record_files import check_apart
from gradus.runs.spec import RunSpec, run_id
from gradus.runs.words import check_path
from gradus.sweep.compare import best_runs
from gradus.sweep.configurations import pruning_of
from gradus.sweep.folder import check_name, enter, free_name, kept_spec
from gradus.sweep.kept import KeptModels, record_of, without_parameters
from gradus.sweep.measures import check_measure, named
from gradus.sweep.received import STUDY, check_links, check_received, models_of
from gradus.sweep.room import Room, crew_in
from gradus.sweep.search import Listed, search_of
from gradus.sweep.space import Panel, panels_of, runs_of
from gradus.sweep.specification import SweepSpec
from gradus.sweep.store import Store, read_parts, read_runs

if TYPE_CHECKING:
    from gradus.sweep.backlog import Backlog
    from gradus.sweep.progress import Observer
    from gradus.sweep.split_cache import SplitCache


@final
@dataclass(frozen=True, eq=False)
class Sweep:
    """A sweep as its record stands, also while it is being trained.

    Attributes:
        folder: of the record.
        spec: which runs it has.
        runs: a pyarrow table with a row for every run that has ended: ``run``, ``status``
            (finished, failed, diverged, stopped, pruned), every option, and the figures
            (``test_loss``, ``best_test_loss``, ``diverged_step``, ...).
        status: ``interrupted`` where Ctrl-C ended the call that gave this sweep.
        trusted: whether models that are code, and that its specification names, may be imported.

    Example:
        >>> import tempfile, gradus
        >>> folder = tempfile.TemporaryDirectory()
        >>> spec = gradus.SweepSpec(
        ...     base={"model": "linear", "epochs": 1}, vary={"lr": "1,0.001"}
        ... )
        >>> sweep = gradus.train_sweep(spec, name="rates", out=folder.name)
        >>> best = sweep.best()
        >>> sweep.runs.num_rows, best.spec.lr, sum(w.numel() for w in best.model.parameters())
        (2, 1.0, 650)
        >>> gradus.open_sweep(sweep.folder).history.column_names
        ['run', 'step', 'samples', 'epoch', 'loss', 'lr', 'work']
        >>> folder.cleanup()
    """

    folder: Path
    spec: SweepSpec
    runs: pa.Table
    status: Literal["finished", "interrupted"] = "finished"
    trusted: bool = False

    def __repr__(self) -> str:
        return f"<Sweep {self.name}: {self.runs.num_rows} runs>"

    def _repr_html_(self) -> str:
        return in_notebook(self)

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @cached_property
    def history(self) -> pa.Table:
        """The rows of all runs: run, step, samples, epoch, loss, lr; read when first asked for."""
        return read_parts(self.folder, "history", self.runs)

    @cached_property
    def evaluation(self) -> pa.Table:
        """What is known after each epoch: run, epoch, samples, train_loss, test_loss, accuracy."""
        return read_parts(self.folder, "evaluation", self.runs)

    def best(self, by: str | None = None, *, trust: bool = False) -> Run:
        """The run of the best configuration: of its first seed, where it has several.

        The best is that of which all runs finished, with the best mean over seeds: the one that
        ``compare.ranking`` puts first. Its parameters are kept (``keep_models``), so that
        ``best().model`` and ``best().predict(table)`` are those of any run.

        Args:
            by: the measure; None: that of the sweep. The parameters are there where both choose the
                same, or all are kept.
            trust: whether its model may be imported, where it is code and the sweep was opened.

        Raises:
            InputError: no run has this measure, or of no configuration did all runs finish.
        """
        by = self.spec.measure if by is None else named(by)
        check_measure(self.runs, by)
        run = self._best(by)
        if run is None:
            raise InputError(f"{self.folder}: of no configuration did all runs finish with a {by}")
        if (record := record_of(self.folder, run)) is not None:
            found = open_run(record, trust=trust)
        else:
            found = self._without_parameters(run)
        known = self.trusted and found.spec.model in models_of(self.spec)
        return replace(found, trusted=found.trusted or trust or known)

    def _without_parameters(self, run: str) -> Run:
        (row,) = self.runs.filter(pc.field("run") == run).to_pylist()
        own = (
            rows.filter(pc.field("run").cast(pa.string()) == run).drop_columns(["run"])
            for rows in (self.history, self.evaluation)
        )
        return without_parameters(self.folder, row, *own)

    @property
    def kept(self) -> Path | None:
        """The folder with the parameters of ``best()``; None where there is none."""
        run = self._best(self.spec.measure)
        return None if run is None else record_of(self.folder, run)

    def _best(self, measure: str) -> str | None:
        found = best_runs(self.runs, measure)
        return found[0][0] if found else None

    @cached_property
    def panels(self) -> list[Panel]:
        """The panels of a one-at-a-time sweep; of others, none."""
        return panels_of(self.spec)


def open_sweep(folder: str | os.PathLike[str]) -> Sweep:
    """The sweep whose record stands in a folder; another process may be training it.

    Raises:
        InputError: there is no such sweep, or it cannot be read.
    """
    check_path("open_sweep", folder)
    folder = Path(folder)
    return Sweep(folder, kept_spec(folder), read_runs(folder))


def train_sweep(
    spec: SweepSpec,
    *,
    name: str | None = None,
    out: str | os.PathLike[str] = "sweeps",
    workers: int | None = None,
    on: str | None = None,
    cpus_per_run: float | None = None,
    gpus_per_run: float | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    observe: Observer | None = None,
    tell: Callable[[str], None] = lambda message: None,
) -> Sweep:
    """Train the runs of a sweep that its folder does not hold yet.

    Asking for the same sweep again does nothing; with more values, what is new is trained. Every
    run is kept once it has ended, and goes on from its checkpoint after a crash.

    Args:
        spec: which runs.
        name: of the folder in ``out``. Without one it is DATA-METHOD-1, or with the first number
            whose folder holds this sweep, or one to which this one adds, or nothing.
        out: where sweeps are kept.
        workers: how many processes train; None: one on each processor.
        on: ``ray``: train on a cluster of `Ray <https://docs.ray.io>`_ of which this machine is
            one; None: on this machine.
        cpus_per_run: processors that a run takes of a cluster; None: one.
        gpus_per_run: GPUs that it takes there, or a share of one; None: none.
        data_dir: where data sets that are not embedded are looked for first.
        observe: called several times a second with the progress of the sweep; without one a
            notebook shows a line below the cell.
        tell: called with a one-line message when something damaged was repaired or a worker died.

    Returns:
        The sweep; ``status`` says whether it was interrupted from the keyboard.

    Raises:
        InputError: the spec is none; a run cannot be trained; the folder holds another sweep, is in
            use by another process, or cannot be written; the name is a path. What has ended is
            kept.
    """
    if name is not None:
        check_name(name)
    if not isinstance(spec, SweepSpec):
        raise InputError(
            f"train_sweep: a {type(spec).__name__}; give a SweepSpec, as "
            'SweepSpec(vary={"lr": "1,0.1"})'
        )
    check_path("out", out)
    room = Room(workers, on, cpus_per_run, gpus_per_run)
    listed = _listed(spec)  # a run that cannot be is said before there is a folder
    folder = Path(out) / (name or free_name(spec, listed, Path(out)))
    for data in {run.data for run in listed or ()}:
        check_apart(folder, data, "--out ")
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from None
    with locked(folder) as lock:
        enter(folder, spec)
        try:
            return _train(folder, spec, listed, room, data_dir, observe, tell, lock)
        except InputError as error:
            # Nothing was trained of a sweep that cannot be: its name is free again. One that could
            # not be written goes on later.
            wrong = not isinstance(error.__cause__, OSError)
            if is_new and wrong and read_runs(folder).num_rows == 0:
                shutil.rmtree(folder)
            raise


def resume_sweep(
    folder: str | os.PathLike[str],
    *,
    models: Collection[str] = (),
    storage: str | None = None,
    trust: bool = False,
    workers: int | None = None,
    on: str | None = None,
    cpus_per_run: float | None = None,
    gpus_per_run: float | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    observe: Observer | None = None,
    tell: Callable[[str], None] = lambda message: None,
) -> Sweep:
    """Train what a sweep still lacks, by the specification in its folder.

    Args:
        folder: of the sweep.
        models: those of the sweep that are code, ``package.module:factory``: they are imported
            only if they are named here, or trusted.
        storage: that of the sweep, if it names one: it is used only if it is named here, or
            trusted.
        trust: whether the specification may name any model and storage.
        workers: as for ``train_sweep``.
        on: as for ``train_sweep``.
        cpus_per_run: as for ``train_sweep``.
        gpus_per_run: as for ``train_sweep``.
        data_dir: as for ``train_sweep``.
        observe: as for ``train_sweep``.
        tell: as for ``train_sweep``.

    Raises:
        InputError: as ``train_sweep``; or there is no sweep in the folder, or it names code or a
            storage that was not named.
    """
    check_path("resume_sweep", folder)
    room = Room(workers, on, cpus_per_run, gpus_per_run)
    folder = Path(folder)
    spec = kept_spec(folder)
    check_received(spec, folder, models=models, storage=storage, trust=trust)
    if storage not in (None, spec.storage):
        raise InputError(f"--storage {quoted(storage)}: that of {folder} is {spec.storage}")
    listed = _listed(spec)
    with locked(folder) as lock:
        return _train(folder, spec, listed, room, data_dir, observe, tell, lock)


def _listed(spec: SweepSpec) -> list[RunSpec] | None:
    """The runs, where they are known beforehand."""
    return None if spec.search == "optuna" else runs_of(spec)


def _train(
    folder: Path,
    spec: SweepSpec,
    listed: Sequence[RunSpec] | None,
    room: Room,
    data_dir: str | os.PathLike[str] | None,
    observe: Observer | None,
    tell: Callable[[str], None],
    lock: int,
) -> Sweep:
    check_links(folder)
    store = Store(folder)
    for message in store.damage:
        tell(message)
    kept = store.finished()
    for left in (folder / "checkpoints").glob("*"):
        if left.name in kept:
            shutil.rmtree(left, ignore_errors=True)
    total = (spec.trials or 0) * spec.seeds if listed is None else len(listed)
    missing = total if listed is None else sum(run_id(run) not in kept for run in listed)
    models = KeptModels(folder, spec)
    for message in models.damage():
        tell(message)
    status: Literal["finished", "interrupted"] = "finished"
    if missing or models.lacking(store.runs):
        # Only now: what is complete is opened without torch.
        from gradus.sweep.progress import observer
        from gradus.sweep.schedule import train_all
        from gradus.sweep.split_cache import SplitCache

        crew, wanted = crew_in(room, folder, spec, missing, lock)
        splits = SplitCache(None if data_dir is None else Path(data_dir))
        try:
            done = train_all(
                lambda: _backlog(spec, listed, total, store, splits),
                store,
                splits,
                models,
                crew,
                workers=wanted,
                total=total,
                observe=observer(observe),
                tell=tell,
            )
        finally:
            splits.close()
        status = "finished" if done else "interrupted"
    else:
        models.tidy(store.runs, over=True)
    return Sweep(folder, spec, store.runs, status, trusted=True)


def _backlog(
    spec: SweepSpec, listed: Sequence[RunSpec] | None, total: int, store: Store, splits: SplitCache
) -> Backlog:
    """What is to be trained, the first of each kind looked at."""
    from gradus.sweep.backlog import Backlog
    from gradus.sweep.planning import check, cost_of, epochs_of

    if listed is None:
        # A study of its own goes on as the runs do.
        storage = spec.storage or f"sqlite:///{store.folder / STUDY}"
        search = search_of(spec.model_copy(update={"storage": storage}), store.folder.name)
    else:
        kept = store.finished()
        check([run for run in listed if run_id(run) not in kept], splits)
        search = Listed(list(listed))

    @cache
    def size(data: str) -> Any:
        return splits.get(seen[data])

    seen: dict[str, RunSpec] = {}

    def cost(run: RunSpec) -> float:
        seen.setdefault(run.data, run)
        return cost_of(splits.resolved(run), size(run.data))

    pruning, losses = None, {}
    if spec.prune is not None:
        pruning = pruning_of(spec, listed, epochs_of(spec, listed, splits))
        losses = _losses(store, spec.measure)
    return Backlog(search, pruning, cost, store.runs, losses, splits.resolved)


def _losses(store: Store, measure: str) -> dict[str, dict[int, float]]:
    """The measure of every run that is kept, by epoch, so that less is better."""
    table = read_parts(store.folder, "evaluation", store.runs)
    losses: defaultdict[str, dict[int, float]] = defaultdict(dict)
    if measure not in table.column_names:
        return losses
    rows = zip(*(table[name].to_pylist() for name in ("run", "epoch", measure)), strict=True)
    for run, epoch, value in rows:
        if value is not None:
            losses[run][epoch] = -value if rises(measure) else value
    return losses
