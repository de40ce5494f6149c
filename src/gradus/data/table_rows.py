"""Which rows of a table are examples, what each counts, and of which part it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gradus.data.columns import Column, recognise
from gradus.data.dataset import Dataset, Split, Treatment
from gradus.data.example_weights import example_weights
from gradus.data.partition import Rows, three_parts
from gradus.data.preparation import Preparation
from gradus.data.reading import Source
from gradus.data.table_options import TableOptions
from gradus.data.targets import Targets
from gradus.errors import MOST_QUOTED, InputError, brief, quoted


@dataclass(frozen=True, eq=False)
class UsableRows:
    """The columns of a table, of the rows that are not left out.

    Attributes:
        path: of the file.
        options: what the user wants.
        goals: the targets, complete.
        inputs: those that may say something of them.
        group: the column whose values never stand in two parts, or None.
        counted: the column of what each row counts, or None.
        kept: bool, one for each row of the file; None where all are kept.
        notes: what is said of the file and of rows that are left out.
    """

    path: Path
    options: TableOptions
    goals: Sequence[Column]
    inputs: Sequence[Column]
    group: Column | None
    counted: Column | None
    kept: NDArray[np.bool_] | None
    notes: tuple[str, ...]

    def parts(self, labels: torch.Tensor | None) -> Rows:
        """Which rows train, validate and test.

        Args:
            labels: the classes of the rows, int64 ``[N]``, None where numbers are predicted.
        """
        groups = None if self.group is None else self.group.values.astype(np.int64)
        n = len(self.goals[0].values)
        return three_parts(n, self.options.parts, labels=labels, groups=groups)

    def weights(self, parts: Rows) -> torch.Tensor | None:
        """What each row counts in the loss, ``[N]``; None where all count alike."""
        if self.counted is None:
            return None
        return torch.from_numpy(example_weights(self.counted, parts, self.path))

    def split(
        self,
        preparation: Preparation,
        y: Targets,
        parts: Rows,
        weights: torch.Tensor | None,
        treatments: tuple[Treatment, ...],
    ) -> Split:
        """The rows as examples.

        Args:
            preparation: of them.
            y: the targets as they are learned.
            parts: as they were drawn.
            weights: what the rows count.
            treatments: what is said of each column.
        """
        columns = {column.name: column for column in self.inputs}
        used = [columns[encoder.name] for encoder in preparation.encoders]
        dtype = self.options.dtype

        def part(rows: torch.Tensor) -> Dataset:
            x = preparation.inputs(used, dtype, rows.numpy())
            return Dataset(
                torch.from_numpy(x),
                y.y[rows],
                y.classes,
                dtype=getattr(torch, dtype),
                weights=None if weights is None else weights[rows],
            )

        train = part(parts.train)
        return Split(
            train,
            part(parts.test)
            if len(parts.test)
            else train,  # until one that is given takes its place
            str(self.path),
            y.task,
            preparation.features,
            ", ".join(column.name for column in self.goals),
            part(parts.validation) if len(parts.validation) else None,
            preparation,
            treatments,
            self.notes,
        )


def column_of(source: Source, name: str, *, categorical: bool) -> Column:
    """A column of a table, read by what its values are.

    Args:
        source: the table.
        name: of the column.
        categorical: whether its values are names whatever they are.
    """
    return recognise(
        name,
        source.arrow[name],
        file=str(source.path),
        place=source.place,
        categorical=categorical or name in source.categories,
        text=None if source.read_text is None else source.text,
        decimal=source.decimal,
    )


def usable_rows(
    source: Source, goals: Sequence[Column], inputs: Sequence[Column], options: TableOptions
) -> UsableRows:
    """Leave out rows without a target, and others as the user wants.

    Args:
        source: the table.
        goals: the targets.
        inputs: the columns that are features.
        options: what the user wants; it names the columns of groups and weights.

    Raises:
        InputError: no row is left, or it is not known to which group one belongs.
    """
    path = source.path
    group = counted = None
    if options.parts.group is not None:
        group = column_of(source, options.parts.group, categorical=True)
        _check_group(group, path, options)
    if options.weights is not None:
        counted = column_of(source, options.weights, categorical=False)
    kept, notes = _kept_rows(goals, inputs, group, path, options)
    if counted is not None:
        notes.append(f"rows count in the loss by {brief(counted.name)!r}, in figures all alike")
    found = UsableRows(path, options, goals, inputs, group, counted, kept, (*source.notes, *notes))
    if kept is None:
        return found
    return replace(
        found,
        goals=[column.rows(kept) for column in goals],
        inputs=[column.rows(kept) for column in inputs],
        group=None if group is None else group.rows(kept),
        counted=None if counted is None else counted.rows(kept),
    )


def _check_group(group: Column, path: Path, options: TableOptions) -> None:
    """Refuse rows of which it is not known where they belong, unless they are left out."""
    if group.missing.any() and options.missing != "drop":
        raise InputError(
            f"--group {quoted(group.name, 60)}: the column has missing values in "
            f"{group.missing.sum()} rows of {path}; fill them in, or use --missing drop"
        )


def _kept_rows(
    goals: Sequence[Column],
    used: Sequence[Column],
    group: Column | None,
    path: Path,
    options: TableOptions,
) -> tuple[NDArray[np.bool_] | None, list[str]]:
    """Which rows are not left out, None where all are kept; and what is said of it."""
    total = len(goals[0].values)
    aimless = np.any([column.missing for column in goals], axis=0)
    notes = []
    if aimless.all():
        raise InputError(
            f"{path}: the target {brief(', '.join(c.name for c in goals))!r} has no values; use "
            "another --target"
        )
    if aimless.any():
        notes.append(f"{_share(aimless)} have no target, and are left out")
    dropped = aimless
    if options.missing == "drop":
        others = [*used, *([] if group is None else [group])]
        gaps = {column.name: int(column.missing.sum()) for column in others}
        dropped = np.any([aimless, *(column.missing for column in others)], axis=0)
        if dropped.all():
            raise InputError(
                f"{path}: every row has a missing value ({_counted(gaps)}), --missing drop "
                "leaves none; leave columns out by --drop"
            )
        if (more := dropped & ~aimless).any():
            notes.append(f"{_share(more)} have a missing value, and are left out (--missing drop)")
    if (left := total - dropped.sum()) < 2:
        raise InputError(
            f"{path}: {left} {'row is' if left == 1 else 'rows are'} left to learn from; at least "
            "two are needed"
        )
    return (~dropped if dropped.any() else None), notes


def _share(rows: NDArray[np.bool_]) -> str:
    return f"{rows.sum():,} of {len(rows):,} rows ({100 * rows.mean():.2g} %)"


def _counted(gaps: Mapping[str, int]) -> str:
    shown = [f"{brief(name)!r} ({count})" for name, count in gaps.items() if count]
    return brief(", ".join(shown[:10]) + (", .." if len(shown) > 10 else ""), MOST_QUOTED)
