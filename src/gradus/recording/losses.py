"""The rows of a loop under way: kept as they come, and read in blocks.

Where a loss lies on an accelerator, to read it waits for all that was asked of the device. It is
copied there instead, and a block of them is read at once.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from gradus.errors import InputError
from gradus.runs.journal import COLUMNS, WHOLE, Columns, joined

Kept = float | Tensor


@final
class Rows:
    """The history of a loop: what was read of it, and what is still to be.

    Args:
        columns: what there was before.
    """

    def __init__(self, columns: Columns) -> None:
        self._blocks = [columns]
        self.pending: list[tuple[int, int, int, Kept, Kept, float]] = []
        """Rows in the order of ``COLUMNS``."""

    def read(self) -> Columns | None:
        """What has come since it was read last; None where nothing has."""
        if not self.pending:
            return None
        columns = dict(zip(COLUMNS, zip(*self.pending, strict=True), strict=True))
        block = {
            name: np.array(numbers(values), np.int64 if name in WHOLE else np.float64)
            for name, values in columns.items()
        }
        self._blocks.append(block)
        self.pending.clear()
        return block

    @property
    def columns(self) -> Columns:
        """All that was read."""
        if len(self._blocks) > 1:
            self._blocks = [joined(self._blocks)]
        return self._blocks[0]


def kept(value: float | Tensor, name: str) -> Kept:
    """A number, or a copy of it where it lies on a device that is not to be waited for.

    Raises:
        InputError: it is no number.
    """
    if isinstance(value, Tensor):
        if value.numel() != 1:
            raise InputError(
                f"{name}: must be one number, not a tensor of shape {tuple(value.shape)}; give its "
                "mean"
            )
        # Whoever accumulates changes the loss in place, and a captured graph gives one tensor again
        # and again: a reference would be another number later.
        return value.item() if value.is_cpu else value.detach().clone()
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InputError(f"{name}: must be a number or a tensor of one, not {value!r}") from None


def numbers(values: Any) -> list[float]:
    """Numbers, of which some may lie on a device: those are read at once."""
    found = list(values)
    by_kind: defaultdict[tuple[torch.device, torch.dtype], list[int]] = defaultdict(list)
    for at, value in enumerate(found):
        if isinstance(value, Tensor):
            by_kind[value.device, value.dtype].append(at)
    for places in by_kind.values():
        together = torch.stack([found[at].reshape(()) for at in places]).tolist()
        for at, value in zip(places, together, strict=True):
            found[at] = value
    return found
