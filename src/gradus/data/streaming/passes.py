"""The two passes over a table that is streamed: one fits how its rows become x, one makes it."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from gradus.data.columns import Column, Form, useless
from gradus.data.dataset import Treatment
from gradus.data.named import columns_left, target_names
from gradus.data.preparation import Classes, Preparation, Quantities, pieces_for
from gradus.data.prepared import check_columns, column_as, targets_as
from gradus.data.reading import Source, is_separated
from gradus.data.side_by_side import side_by_side
from gradus.data.streaming.goal import GoalStatistics
from gradus.data.streaming.kept import Cache
from gradus.data.streaming.parts import TEST, TRAIN, VALIDATION, Shares
from gradus.data.streaming.rows_file import BUCKET, Layout, RowsFile, RowsWriter
from gradus.data.streaming.spool import Spool
from gradus.data.streaming.statistics import ColumnStatistics, left_out
from gradus.data.streaming.table_files import TableFiles
from gradus.data.table_options import TableOptions
from gradus.data.table_rows import column_of
from gradus.data.tables import goal_told
from gradus.errors import MOST_QUOTED, InputError, brief

Watch = Callable[[str, int, int], None]
"""Told what is being done, and with how many rows of about how many."""


class _Named(Protocol):
    """A column that is known from elsewhere."""

    @property
    def name(self) -> str: ...

    @property
    def form(self) -> Form: ...


@dataclass(frozen=True, eq=False)
class Found:
    """What the first pass found.

    Attributes:
        preparation: fitted to the rows that train.
        treatments: what is said of each column.
        notes: what is said of the table.
    """

    preparation: Preparation
    treatments: tuple[Treatment, ...]
    notes: tuple[str, ...]


class Passes:
    """Passes over a table, in each of which its rows have the same numbers.

    Args:
        files: the table.
        options: what the user wants.
        folder: where files lie that the passes write.
        watch: told how far a pass is.
    """

    def __init__(
        self, files: TableFiles, options: TableOptions, folder: Path, watch: Watch
    ) -> None:
        self.files, self.options, self.folder, self.watch = files, options, folder, watch
        self.shares = Shares.of(options.parts, files.rows)
        self.spool: Spool | None = None

    def look(self) -> Found:
        """The first pass: what columns hold, and what is fitted to the rows that train.

        Raises:
            InputError: a column cannot be used, or none says anything.
        """
        options, path = self.options, self.files.root
        parts = self.files.pieces(options.notation)
        first = next(parts)
        targets = target_names(options.target, first.names, path)
        named = columns_left(
            first.names, targets, options.categorical, options.drop, None, None, path
        )

        def recognised(name: str) -> Column:
            return column_of(first, name, categorical=name in options.categorical)

        goals, inputs = side_by_side(recognised, targets), side_by_side(recognised, named)
        # What is alike in the first rows may differ in others: that is seen when all went by.
        gone = useless([column for column in inputs if not _is_constant(column)])
        seen = {column.name: ColumnStatistics(column) for column in inputs}
        used = [column for column in inputs if column.name not in gone]
        goal_seen = GoalStatistics(goals, path)
        rows = _Usable(options)
        notes: dict[str, None] = {}
        if is_separated(self.files.files[0]):
            _check_room(self.folder, 8 * self.files.rows * (len(goals) + len(used)))
            self.spool = Spool(self.folder)
        for piece, at in self._numbered("reading", itertools.chain([first], parts)):
            notes |= dict.fromkeys(piece.notes)
            goals, inputs = _columns(piece, goal_seen.columns), _columns(piece, used)
            kept = rows.kept(goals, inputs)
            train = kept & (self.shares.dealt(at, len(kept)) == TRAIN)
            sampled = train & self.shares.sampled(at, len(kept))
            goal_seen.add(goals, kept, train, sampled)
            if self.spool is not None:
                self.spool.add([*goals, *inputs])
            for name in gone:
                seen[name].missing += piece.arrow[name].null_count

            def add(
                column: Column,
                train: NDArray[np.bool_] = train,
                sampled: NDArray[np.bool_] = sampled,
            ) -> None:
                seen[column.name].add(column, train, sampled)

            side_by_side(add, inputs)
        goal, shown = goal_seen.goal(options.loss, scale=options.standardize_target)
        gone |= {column.name: why for column in used if (why := seen[column.name].useless)}
        used = [column for column in used if column.name not in gone]
        pieces = options.pieces
        if pieces is None:
            numbers = sum(column.form.kind == "number" for column in used)
            pieces = pieces_for(goal_seen.trains, numbers)
        encoders = []
        for column in used:
            encoder = seen[column.name].encoder(options.scaling, options.fill, pieces)
            if why := left_out(encoder):
                gone[column.name] = why
            else:
                encoders.append(encoder)
        if not encoders:
            raise InputError(
                f"{path}: no column says anything of the target {brief(targets[0])!r}: "
                + brief("; ".join(f"{name!r} {why}" for name, why in gone.items()), MOST_QUOTED)
            )
        done = {encoder.name: encoder.done for encoder in encoders}
        told = [
            each._replace(missing=missing)
            for each, missing in zip(goal_told(shown, shown, goal), goal_seen.missing, strict=True)
        ]
        told += [
            Treatment(
                name,
                each.column.told,
                each.missing,
                done[name] if name in done else f"left out: {gone[name]}",
            )
            for name, each in seen.items()
        ]
        preparation = Preparation(encoders=tuple(encoders), goal=goal, notation=options.notation)
        return Found(preparation, tuple(told), tuple(notes))

    def take(self, preparation: Preparation) -> Found:
        """What is known where rows become x as others did: nothing is fitted.

        Raises:
            InputError: the table lacks a column.
        """
        first = next(self.files.pieces(self.options.notation))
        encoders = preparation.encoders
        check_columns([each.name for each in (*_targets(preparation), *encoders)], first)
        told = tuple(Treatment(each.name, each.form.told, 0, each.done) for each in encoders)
        return Found(preparation, told, first.notes)

    def prepare(self, found: Found, cache: Cache, place: Path, buffer: int | None) -> RowsFile:
        """The second pass: all rows as x and y, in a file.

        Args:
            found: by the first.
            cache: where the file is kept, or lies without a name.
            place: its path, where it is kept.
            buffer: rows that are shuffled together: a bucket has no more.

        Raises:
            InputError: a value cannot be read, or there is no room for the file.
        """
        preparation, options, shares = found.preparation, self.options, self.shares
        layout = _layout(preparation, options)
        trains = self.files.rows * (1 - shares.test) * (1 - shares.validation)
        rows_of_bucket = max(1, min(BUCKET // layout.row, buffer or BUCKET))
        buckets = max(1, round(trains / rows_of_bucket))
        with _written(cache, place, layout.row * self.files.rows) as file:
            writer, usable = RowsWriter(file, layout, buckets), _Usable(options)
            for goals, inputs, at in self._again(preparation):
                n = len(goals[0].values)
                kept = np.flatnonzero(usable.kept(goals, inputs))
                part = shares.dealt(at, n)[kept]
                drawn = shares.buckets(at, n, buckets)
                y = self._y(preparation, [column.rows(kept) for column in goals])
                for code, name in ((TRAIN, "train"), (VALIDATION, "validation"), (TEST, "test")):
                    of = part == code
                    if not of.any():
                        continue
                    rows = kept[of]
                    x = preparation.inputs(inputs, options.dtype, rows)
                    if code == TRAIN:
                        writer.train(x, y[of], drawn[rows])
                    else:
                        writer.held(name, x, y[of])
            writer.close(
                {
                    "preparation": preparation.record(),
                    "treatments": found.treatments,
                    "notes": [*found.notes, *usable.notes()],
                    "validates": shares.validation > 0,
                }
            )
            written = RowsFile.read(place, file)
        assert written is not None
        return written

    def _again(
        self, preparation: Preparation
    ) -> Iterator[tuple[Sequence[Column], Sequence[Column], int]]:
        """Targets and inputs, piece by piece, each with the number of its first row."""
        targets, encoders = _targets(preparation), preparation.encoders
        if self.spool is None:
            parts = self.files.pieces(self.options.notation)
            for piece, at in self._numbered("preparing", parts):
                yield _columns(piece, targets), _columns(piece, encoders), at
            return
        at = 0
        for columns in self.spool.pieces():
            goals = [columns[each.name] for each in targets]
            yield goals, [columns[each.name] for each in encoders], at
            at += len(goals[0].values)
            self.watch(f"preparing {self.files.root.name}", at, max(self.files.rows, at))

    @contextmanager
    def begun(self) -> Iterator[Passes]:
        """Within, passes are taken; what lies between them is gone behind it."""
        try:
            yield self
        finally:
            if self.spool is not None:
                self.spool.close()

    def _y(self, preparation: Preparation, goals: Sequence[Column]) -> NDArray[np.generic]:
        """The targets of some rows, as they are learned."""
        goal, where = preparation.goal, str(self.files.root)
        y = targets_as(goal, goals, self.options.loss, where).y.numpy()
        if isinstance(goal, Quantities):
            y = goal.scaled(y)
        found: NDArray[np.generic] = y.astype(self.options.dtype) if y.dtype.kind == "f" else y
        return found

    def _numbered(self, what: str, pieces: Iterator[Source]) -> Iterator[tuple[Source, int]]:
        """Pieces, each with the number of its first row."""
        at = 0
        for piece in pieces:
            yield piece, at
            at += piece.arrow.num_rows
            self.watch(f"{what} {self.files.root.name}", at, max(self.files.rows, at))


class _Usable:
    """Which rows of the pieces that go by are not left out, and how many were."""

    def __init__(self, options: TableOptions) -> None:
        self.drops = options.missing == "drop"
        self.rows = self.aimless = self.gaps = 0

    def kept(self, goals: Sequence[Column], inputs: Sequence[Column]) -> NDArray[np.bool_]:
        """Those of a piece."""
        aimless = np.any([column.missing for column in goals], axis=0)
        left = aimless
        if self.drops:
            left = np.any([aimless, *(column.missing for column in inputs)], axis=0)
        self.rows += len(left)
        self.aimless += int(aimless.sum())
        self.gaps += int((left & ~aimless).sum())
        found: NDArray[np.bool_] = ~left
        return found

    def notes(self) -> Iterator[str]:
        """What is said of those that were left out."""
        for count, why in (
            (self.aimless, "have no target, and are left out"),
            (self.gaps, "have a missing value, and are left out (--missing drop)"),
        ):
            if count:
                yield f"{count:,} of {self.rows:,} rows ({100 * count / self.rows:.2g} %) {why}"


def _targets(preparation: Preparation) -> Sequence[_Named]:
    goal = preparation.goal
    return (goal,) if isinstance(goal, Classes) else goal.targets


def _columns(piece: Source, known: Sequence[_Named]) -> list[Column]:
    """Columns of a piece, read as those that are known."""
    return side_by_side(lambda each: column_as(piece, each.name, each.form), known)


def _is_constant(column: Column) -> bool:
    return len(column.values) > 0 and bool((column.values == column.values[0]).all())


def _layout(preparation: Preparation, options: TableOptions) -> Layout:
    goal = preparation.goal
    if isinstance(goal, Quantities):
        targets = len(goal.targets)
    else:
        targets = len(goal.names) if options.loss == "kl-div" else 0
    return Layout(len(preparation.features), options.dtype, targets)


def _check_room(folder: Path, size: int) -> None:
    """Refuse to begin what would not fit on the disk.

    Raises:
        InputError: fewer bytes are free.
    """
    if (free := shutil.disk_usage(folder).free) < size:
        raise InputError(
            f"--cache {folder}: {size / 1e9:.2g} GB are needed there, and {free / 1e9:.2g} are "
            "free; give a folder with more room"
        )


@contextmanager
def _written(cache: Cache, place: Path, size: int) -> Iterator[BinaryIO]:
    """A file to write into, which has its name when all is written, or none.

    Raises:
        InputError: there is no room for so many bytes.
        OSError: it cannot be written.
    """
    _check_room(cache.place, size)
    if not cache.stays:
        with tempfile.TemporaryFile(dir=cache.place) as nameless:
            yield cast(BinaryIO, nameless)
        return
    number, name = tempfile.mkstemp(dir=cache.place, suffix=".part")
    try:
        with os.fdopen(number, "w+b") as file:
            yield file
        os.replace(name, place)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
