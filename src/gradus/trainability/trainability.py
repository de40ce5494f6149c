"""`gradus.trainability_map`: where runs train and where they are lost, over two options."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradus.errors import InputError, quoted
from gradus.runs.files import finite, write_whole
from gradus.runs.learning_rate.limit import Limit, limit_at_start
from gradus.runs.lock import locked
from gradus.runs.spec import RunSpec
from gradus.runs.status import training_loss
from gradus.sweep.backlog import Backlog
from gradus.sweep.kept import KeptModels
from gradus.sweep.planning import check, cost_of
from gradus.sweep.progress import SweepProgress
from gradus.sweep.schedule import train_all
from gradus.sweep.specification import SweepSpec
from gradus.sweep.split_cache import SplitCache
from gradus.sweep.store import PARTS, Store
from gradus.sweep.worker_process import LocalCrew
from gradus.trainability.asked import Asked, prepared, read
from gradus.trainability.boundary import LOST, UNKNOWN, Boundary, coarsest, filled
from gradus.trainability.theory import area, ratios

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RECORD, PICTURE = "map.json", "map.png"
"""In the folder of a map, beside the store of its runs."""

OWN = {RECORD, PICTURE, "runs.parquet", "checkpoints", "lock", *PARTS}
"""All that stands in such a folder."""

Tell = Callable[[str, int, int], None]
"""Told what is done, how far it is, and how far that goes."""


@dataclass(frozen=True, eq=False)
class TrainabilityMap:
    """Where runs train, over two of their options.

    Attributes:
        asked: its runs: the axes ``x``, along columns, and ``y``, along rows, and what is fixed.
        lost: ``[n + 1, n + 1]``, whether a run diverged, or ended with a training loss no lower
            than before its first step; of points that were not run, what those around them are.
        loss: ``[n + 1, n + 1]``, the training loss after the run, NaN where it is lost; of points
            that were not run, the mean of those around them.
        known: ``[n + 1, n + 1]``, which points were run.
        runs: how many runs those have: neighbours share one where values are whole numbers.
        trained: how many of them in this call; the others were in the store.
        beginning: the training loss before the first step.
        ratio: ``[n + 1, n + 1]``, lr · λ_max over the limit of the method, below 1 where theory
            has steps stable; None where it says nothing.
        limit: what it allows at the lowest corner; None likewise.
        steps: of each run.
        seconds: that the call took.
        folder: of the store; None where it was not kept.
    """

    asked: Asked
    lost: NDArray[np.bool_]
    loss: NDArray[np.float64]
    known: NDArray[np.bool_]
    runs: int
    trained: int
    beginning: float
    ratio: NDArray[np.float64] | None
    limit: Limit | None
    steps: int
    seconds: float
    folder: Path | None = None

    def __repr__(self) -> str:
        x, y = self.asked.x, self.asked.y
        return f"<TrainabilityMap {x.option} × {y.option}: {self.runs:,} runs of {x.size}²>"

    @property
    def x(self) -> NDArray[np.float64]:
        """``[n + 1]``: the values along columns."""
        return self.asked.x.values

    @property
    def y(self) -> NDArray[np.float64]:
        """``[n + 1]``: the values along rows."""
        return self.asked.y.values

    @property
    def auc(self) -> float | None:
        """The chance that a lost point has a larger ratio than one that trains.

        1: theory orders them without a fault; 0.5: no better than chance.
        """
        return None if self.ratio is None else area(self.ratio, self.lost)

    @property
    def told_right(self) -> float | None:
        """The share of points that lie on the side of the limit where theory has them."""
        return None if self.ratio is None else float(((self.ratio > 1) == self.lost).mean())

    def spec(self, row: int, column: int) -> RunSpec:
        """The run of a point, which ``gradus.train`` trains again."""
        return self.asked.spec(row, column)

    def plot(self) -> Figure:
        """The losses, the boundary that was found, and the limit of theory."""
        from gradus.figures.trainability import draw_map, facts_of

        return draw_map(facts_of(self))

    def record(self) -> dict[str, Any]:
        """What map.json says of it."""
        limit, asked = self.limit, self.asked
        return {
            "x": {"option": asked.x.option, "values": self.x.tolist()},
            "y": {"option": asked.y.option, "values": self.y.tolist()},
            "lowest_corner": asked.base.model_dump(exclude={"auto"}, exclude_none=True),
            "size": asked.x.size,
            "steps": self.steps,
            "runs": self.runs,
            "share_of_grid": self.runs / self.lost.size,
            "trained_in_this_call": self.trained,
            "loss_at_the_beginning": self.beginning,
            "lost": float(self.lost.mean()),
            "limit": limit and {"lr": limit.lr, "curvature": limit.curvature,
                                "bound": limit.bound, "method": limit.method},
            "auc": self.auc,
            "told_right": self.told_right,
            "seconds": self.seconds,
        }  # fmt: skip


def trainability_map(
    data: str | os.PathLike[str] = "digits",
    *,
    x: str = "lr",
    y: str = "momentum",
    x_range: str | Sequence[float] | None = None,
    y_range: str | Sequence[float] | None = None,
    size: int = 256,
    steps: int = 100,
    full: bool = False,
    out: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    tell: Tell = lambda what, done, of: None,
    **options: Any,
) -> TrainabilityMap:
    """Train short runs over two of their options, most of them where runs begin to be lost.

    A coarse lattice is run whole; then a quadtree divides squares whose corners do not agree, down
    to single cells. Every run is that of ``gradus.train`` with the same options, trained by the
    workers of a sweep; those on a GPU, or with ``engine="stacked"``, in blocks.

    Args:
        data: by name or path; or the folder of a run, whose options are those of all runs here but
            for what is given.
        x: an option that takes numbers, along columns.
        y: another, along rows.
        x_range: two numbers, or as a text ``LOW:HIGH``, by equal factors where both are above 0 and
            30 times apart; ``log:LOW:HIGH`` or ``lin:LOW:HIGH``. None: of lr, four decades, the
            last of which holds the limit of theory; of momentum and beta, 0 to 0.99.
        y_range: likewise.
        size: cells a side, a power of two.
        steps: of each run, to the nearest whole epoch, unless ``epochs`` is given.
        full: run every point.
        out: the folder that keeps what was trained, with ``map.json`` and a picture: the same call
            goes on where it was broken off, and a finer size, or a range on the same lattice, takes
            what is there. None: nothing is kept.
        workers: how many processes train; None: one on each processor.
        data_dir: where data sets that are not embedded are looked for first.
        tell: told what is done, how far it is, and how far that goes.
        **options: the fields of :class:`~gradus.RunSpec` that are fixed.

    Returns:
        The map: ``.lost``, ``.loss``, ``.ratio``, ``.auc``, ``.plot()``.

    Raises:
        InputError: an option is wrong, is an axis and given too, or takes no numbers; a range is
            needed; the size is no power of two; or the folder holds something else.
        KeyboardInterrupt: it was interrupted; what has ended is kept.

    Example:
        >>> import gradus
        >>> found = gradus.trainability_map(
        ...     "digits", model="linear", batch_size=256, steps=4, x_range="0.001:10000", size=2,
        ...     workers=1,
        ... )
        >>> found.lost.shape, bool(found.lost[0, 0]), bool(found.lost[0, 2])
        ((3, 3), False, True)

    Source: Sohl-Dickstein (2024), "The boundary of neural network trainability is fractal".
    """
    began = time.perf_counter()
    if not isinstance(data, str | os.PathLike):
        raise InputError(
            f"data {quoted(data, 60)}: a map is of data by name or path, or of the folder of a run"
        )
    x, y = x.replace("-", "_"), y.replace("-", "_")
    place = None if data_dir is None else Path(data_dir)
    with _held(out) as folder, closing(SplitCache(place)) as splits:
        asked = read(data, options, (x, x_range), (y, y_range), size, steps, splits)
        start = prepared(asked.base, splits)
        beginning = training_loss(start, start.model)
        search = Boundary(
            size,
            size if full else coarsest(size),
            asked.spec,
            lambda loss: loss is None or not loss < beginning,
        )
        trained = _train(search, asked, folder, splits, workers, tell)
        states = np.where(search.states == UNKNOWN, np.nan, search.states)
        lost = filled(states, search.coarse) == LOST
        losses = np.where(search.states == LOST, np.nan, search.losses)
        found = TrainabilityMap(
            asked=asked,
            lost=lost,
            loss=np.where(lost, np.nan, filled(losses, search.coarse)),
            known=search.states != UNKNOWN,
            runs=search.runs,
            trained=trained,
            beginning=beginning,
            ratio=ratios(asked, lambda spec: limit_at_start(spec, prepared(spec, splits))),
            limit=limit_at_start(asked.base, start),
            steps=start.steps,
            seconds=time.perf_counter() - began,
            folder=None if out is None else folder,
        )
        if out is not None:
            _write(found, folder)
    return found


def _train(
    search: Boundary,
    asked: Asked,
    folder: Path,
    splits: SplitCache,
    workers: int | None,
    tell: Tell,
) -> int:
    """Train what the store lacks, and keep it there; says how many runs that were."""
    check([asked.base], splits)
    store = Store(folder)
    cost = cost_of(asked.base, splits.get(asked.base))
    backlog = Backlog(search, None, lambda spec: cost, store.runs)
    before = store.runs.num_rows
    for item in backlog.take(1):
        backlog.put_back(item)

        def observe(progress: SweepProgress) -> None:
            tell(f"runs along the boundary, of {asked.x.size}²", search.done, search.runs)

        wanted = workers or len(os.sched_getaffinity(0))
        is_done = train_all(
            lambda: backlog,
            store,
            splits,
            KeptModels(folder, SweepSpec.model_construct(keep_models="none")),
            LocalCrew(folder, wanted),
            workers=wanted,
            total=search.runs,
            observe=observe,
        )
        if not is_done:
            raise KeyboardInterrupt
    return store.runs.num_rows - before


@contextmanager
def _held(out: str | os.PathLike[str] | None) -> Iterator[Path]:
    """The folder of a map, in which one process works at a time; of one that is not kept, no more.

    Raises:
        InputError: it cannot be written, or holds something else.
    """
    if out is None:
        with tempfile.TemporaryDirectory(prefix="gradus-map-") as passing:
            yield Path(passing)
        return
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be written: {error.strerror}") from None
    foreign = sorted(path.name for path in folder.iterdir() if path.name[0] != ".")
    if foreign := [name for name in foreign if name not in OWN]:
        raise InputError(f"--out {folder}: holds {foreign[0]} already; give another")
    with locked(folder):
        yield folder


def _write(found: TrainabilityMap, folder: Path) -> None:
    from gradus.figures.style import save

    write_whole(folder / RECORD, json.dumps(finite(found.record()), indent=1).encode())
    save(found.plot(), folder / PICTURE)
