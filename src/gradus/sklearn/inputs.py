"""How X becomes what a network sees: numbers brought to scale and cut into pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradus.errors import InputError

if TYPE_CHECKING:
    from gradus.data.preparation.fit import Scaling
    from gradus.data.preparation.numbers import Numbers


@dataclass(frozen=True, eq=False)
class Inputs:
    """What was fitted to the columns of X.

    Attributes:
        encoders: one for each column; none where X is taken as it is.
    """

    encoders: tuple[Numbers, ...] = ()

    def encode(self, X: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        """The x of these rows, ``[N, features]``, of this dtype; X itself where it is that.

        Raises:
            InputError: X holds numbers that the dtype does not.
        """
        try:
            with np.errstate(over="raise"):
                return self._encoded(X, dtype)
        except FloatingPointError:
            raise InputError(
                f"X holds numbers beyond {np.finfo(dtype).max:.1e}, the greatest of {dtype}: give "
                "a scaling, or dtype float64"
            ) from None

    def _encoded(self, X: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        if not self.encoders:
            return np.require(X, dtype, ("C", "W"))  # torch warns of what it must not write to
        from gradus.data.columns import Column

        x, at = np.empty((len(X), self.features), dtype), 0
        for encoder, values in zip(self.encoders, X.T, strict=True):
            column = Column(encoder.name, encoder.form, values.astype(np.float64))
            found = encoder.encode(column)
            x[:, at : at + found.shape[1]] = found
            at += found.shape[1]
        return x

    @property
    def features(self) -> int:
        """How many numbers a row becomes, where there are encoders."""
        return sum(1 + len(encoder.means) for encoder in self.encoders)


def fit(
    X: NDArray[Any],
    weights: NDArray[np.float64] | None,
    scaling: Scaling,
    pieces: int,
    names: Sequence[str],
) -> Inputs:
    """What turns X into x, from its training rows.

    Args:
        X: ``[N, d]``.
        weights: what each row counts, ``[N]``, > 0.
        scaling: of every column.
        pieces: into how many each is cut, 0 for none.
        names: of the columns.
    """
    if scaling == "none" and not pieces:
        return Inputs()
    from gradus.data.columns import Column, Form
    from gradus.data.preparation.fit import fit as fit_column
    from gradus.data.preparation.numbers import Numbers

    encoders, form = [], Form("number")
    for name, values in zip(names, X.T, strict=True):
        column = Column(name, form, values.astype(np.float64))
        encoder = fit_column(column, scaling, "median", pieces, weights)
        assert isinstance(encoder, Numbers)
        encoders.append(encoder)
    return Inputs(tuple(encoders))
