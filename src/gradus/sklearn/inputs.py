"""How X becomes what a network sees: numbers brought to scale and cut into pieces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from gradus.errors import InputError
from gradus.sklearn.sharing import once

if TYPE_CHECKING:
    from gradus.data.preparation.fit import Scaling
    from gradus.data.preparation.numbers import Numbers


@dataclass(frozen=True, eq=False)
class Inputs:
    """What was fitted to the columns of X.

    Attributes:
        encoders: one for each column; none where X is taken as it is.
        spread: of sparse X, what each column is divided by; None: by nothing.
    """

    encoders: tuple[Numbers, ...] = ()
    spread: NDArray[np.float64] | None = None

    def encode(self, X: Any, dtype: np.dtype[Any]) -> Any:
        """The x of these rows, ``[N, features]``, of this dtype; X itself where it is that.

        Sparse X, in CSR, stays sparse; but where what was fitted to was an array that was scaled it
        becomes one.

        Raises:
            InputError: X holds numbers that the dtype does not.
        """
        try:
            with np.errstate(over="raise"):
                if self.encoders and issparse(X):
                    X = X.toarray()
                if self.spread is not None or issparse(X):
                    return self._divided(X, dtype)
                if not self.encoders:
                    # torch warns of what it must not write to
                    return np.require(X, dtype, ("C", "W"))
                made_of = (X, self, dtype)
                return once(made_of, lambda: self._encoded(X, dtype), lambda x: x.nbytes)
        except FloatingPointError:
            raise InputError(
                f"X holds numbers beyond {np.finfo(dtype).max:.1e}, the greatest of {dtype}: give "
                "a scaling, or dtype float64"
            ) from None

    def _divided(self, X: Any, dtype: np.dtype[Any]) -> Any:
        if not issparse(X):
            return np.require(X / self.spread, dtype, ("C", "W"))
        if not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()
        data = X.data if self.spread is None else X.data / self.spread[X.indices]
        return type(X)((data.astype(dtype), X.indices, X.indptr), X.shape)

    def _encoded(self, X: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
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


def fitted(
    X: Any,
    weights: NDArray[np.float64] | None,
    scaling: Scaling,
    pieces: int,
    names: tuple[str, ...],
    dtype: np.dtype[Any],
) -> tuple[Inputs, Any]:
    """What turns X into x, from its training rows, and the x of these.

    Sparse X is divided by the largest absolute value of each column, however it is to be scaled,
    and not cut into pieces: nothing is subtracted, so that what is 0 stays 0.

    Args:
        X: ``[N, d]``, an array or a CSR matrix.
        weights: what each row counts, ``[N]``, > 0.
        scaling: of every column.
        pieces: into how many each is cut, 0 for none.
        names: of the columns.
        dtype: of x.

    Raises:
        InputError: X holds numbers that the dtype does not.
    """
    if issparse(X):
        found = Inputs() if scaling == "none" else Inputs(spread=_largest(X))
        return found, found.encode(X, dtype)
    if scaling == "none" and not pieces:
        return Inputs(), Inputs().encode(X, dtype)

    def made() -> tuple[Inputs, NDArray[Any]]:
        found = _fit(X, weights, scaling, pieces, names)
        return found, found.encode(X, dtype)

    return once((X, weights, scaling, pieces, names, dtype), made, lambda pair: pair[1].nbytes)


def _largest(X: Any) -> NDArray[np.float64]:
    """The largest absolute value of each column, 1 where there is none."""
    found: NDArray[np.float64] = np.asarray(abs(X).max(axis=0).todense(), np.float64).ravel()
    found[found == 0] = 1.0
    return found


def _fit(
    X: NDArray[Any],
    weights: NDArray[np.float64] | None,
    scaling: Scaling,
    pieces: int,
    names: tuple[str, ...],
) -> Inputs:
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
