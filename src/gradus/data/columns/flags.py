"""Columns of two words, one of which says no and the other yes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gradus.data.columns.column import Form
from gradus.data.columns.guess import Guess

if TYPE_CHECKING:
    import pyarrow as pa

    from gradus.data.columns.words import Words

_PAIRS = (("no", "yes"), ("n", "y"), ("false", "true"), ("f", "t"), ("off", "on"))
_MEANINGS = {word: float(at) for pair in _PAIRS for at, word in enumerate(pair)} | {
    "0": 0.0,
    "1": 1.0,
    "0.0": 0.0,
    "1.0": 1.0,
}
_MOST_SPELLINGS = 12  # of two words of at most five letters, as in YES, Yes and yes


def guess_flags(words: Words) -> Guess | None:
    """The two words of a column that holds both words of a pair and no other, in any case.

    Example:
        >>> import pyarrow as pa
        >>> from gradus.data.columns.words import words_of
        >>> guess = guess_flags(words_of(pa.chunked_array([["Yes", "No", "YES", "Yes"]])))
        >>> guess.form.flags, guess.values.tolist()
        (('No', 'Yes'), [1.0, 0.0, 1.0])
    """
    if len(words.distinct) > _MOST_SPELLINGS:
        return None
    spelt = [str(word).strip() for word in words.distinct.to_pylist()]
    for no, yes in _PAIRS:
        if {word.lower() for word in spelt} == {no, yes}:
            # The spelling of most rows stands for the others.
            ordered = sorted(zip(-words.counts, spelt, strict=True))
            first = {word.lower(): word for _, word in reversed(ordered)}
            form = Form("flag", flags=(first[no], first[yes]))
            return Guess(form, read_flags(words.distinct, form))
    return None


def read_flags(text: pa.StringArray, form: Form) -> NDArray[np.float64]:
    """0 for no and 1 for yes, however they are said; NaN for another word.

    Example:
        >>> import pyarrow as pa
        >>> read_flags(pa.array(["yes", "0", "TRUE", "x"]), Form("flag", flags=("0", "1"))).tolist()
        [1.0, 0.0, 1.0, nan]
    """
    own = {word.lower(): float(at) for at, word in enumerate(form.flags or ())}
    meanings = _MEANINGS | own
    spelt = (str(word).strip().lower() for word in text.to_pylist())
    return np.array([meanings.get(word, np.nan) for word in spelt], dtype=np.float64)
