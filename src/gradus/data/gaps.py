"""What a missing value of arrays means: a refusal, a row left out, or one to be filled in."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gradus.data.preparation.arrays import faults
from gradus.errors import InputError
from gradus.risk.sparse import rows_at
from gradus.risk.sparse_matrices import faults as sparse_faults
from gradus.risk.sparse_matrices import is_sparse


def complete(
    where: str, suffix: str, x: Any, y: NDArray[Any], missing: str | None
) -> tuple[Any, NDArray[Any], int, int]:
    """Refuse NaN, or leave examples out; how many are, and how many are to be filled.

    Args:
        where: the data.
        suffix: of the part, as ``_test``.
        x: an array, or a CSR tensor.
        y: targets.
        missing: what a missing value means.

    Raises:
        InputError: a value is infinite; or is missing, and nothing says what that means.
    """
    gaps = {}
    for key, values in (("x", x), ("y", y)):
        of: Any = sparse_faults if is_sparse(values) else faults
        gaps[key], infinite = of(values)
        if infinite is not None:
            raise InputError(
                f"{where}: {key}{suffix}{infinite} is infinite; give a finite number or NaN"
            )
    if gaps["y"].any() and missing is None:
        raise InputError(
            f"{where}: {'y' + suffix!r} has missing values (NaN) in {gaps['y'].sum()} rows; "
            "leave them out by --missing drop"
        )
    if gaps["x"].any() and missing is None:
        columns = ""
        if x.ndim == 2 and not is_sparse(x):
            counts = np.isnan(x).sum(axis=0)
            shown = [f"column {i} ({counts[i]})" for i in np.flatnonzero(counts)]
            columns = f": {', '.join(shown[:5])}{', ..' if len(shown) > 5 else ''}"
        raise InputError(
            f"{where}: {'x' + suffix!r} has missing values (NaN) in {gaps['x'].sum()} rows"
            f"{columns}; choose --missing {'drop' if is_sparse(x) else 'mean | median | drop'}"
        )
    if gaps["x"].any() and missing in ("mean", "median") and is_sparse(x):
        raise InputError(
            f"--missing {missing}: {'x' + suffix!r} in {where} is sparse: nearly all of a column "
            "is 0, and so is what would stand there; use --missing drop"
        )
    if gaps["x"].any() and missing in ("mean", "median") and x.ndim > 2:
        raise InputError(
            f"--missing {missing}: needs columns, {'x' + suffix!r} in {where} has shape "
            f"{list(x.shape)}; use --missing drop"
        )
    left_out = gaps["x"] | gaps["y"] if missing == "drop" else gaps["y"]
    if left_out.all():
        raise InputError(f"{where}: every row has a missing value, leaving them out leaves none")
    if left_out.any():
        kept = np.flatnonzero(~left_out)
        x, y = rows_at(x, torch.from_numpy(kept)) if is_sparse(x) else x[kept], y[kept]
    return x, y, int(left_out.sum()), int((gaps["x"] & ~left_out).sum())
