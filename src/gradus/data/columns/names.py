"""Columns of names: each is kept as the text that stands in the file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import compress, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradus.data.columns.column import Column, Form

if TYPE_CHECKING:
    import pyarrow as pa

    from gradus.data.columns.words import Words

_FEW = 20  # text with no more distinct values than this is never taken for identifiers
_ID_SHARE = 0.9  # text of which more than this share of values is distinct identifies its rows


def names_of(name: str, words: Words, *, declared: bool = False) -> Column:
    """A column of names; of text where nearly every row says something else.

    Args:
        name: of the column.
        words: what stands in it.
        declared: the user says that these are names, however many there are.

    Example:
        >>> import pyarrow as pa
        >>> from gradus.data.columns.words import words_of
        >>> column = names_of("size", words_of(pa.chunked_array([["10", "9", None, "10"]])))
        >>> column.form.kind, column.words, column.values.tolist()
        ('category', ('9', '10'), [1, 0, -1, 1])
    """
    many = len(words.distinct) > max(_FEW, _ID_SHARE * words.present)
    kind: Any = "text" if many and not declared else "category"
    return named(name, Form(kind), words)


def named(name: str, form: Form, words: Words) -> Column:
    """A column of names in their order, of numbers as numbers; text stays in the file's order."""
    import pyarrow.compute as pc

    if form.kind == "text":
        return Column(name, form, words.rows, tuple(map(str, words.distinct.to_pylist())))
    order = pc.sort_indices(words.distinct).to_numpy()
    if (sizes := _sizes(words.distinct)) is not None:
        order = order[np.argsort(sizes[order], kind="stable")]
    ordered = [str(word) for word in words.distinct.take(order).to_pylist()]
    new = [True, *(word != before for before, word in pairwise(ordered))][: len(ordered)]
    meaning = np.empty(len(ordered), dtype=np.int32)
    meaning[order] = np.cumsum(new) - 1
    return Column(name, form, words.each(meaning, -1), tuple(compress(ordered, new)))


def _sizes(words: pa.StringArray) -> NDArray[np.float64] | None:
    """The numbers that words mean, if all of them mean one."""
    import pyarrow as pa

    try:
        sizes = words.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return None
    return sizes if np.isfinite(sizes).all() else None


def _size(word: str) -> float:
    """The number that a word means; ValueError where it means none."""
    size = float(word)
    if "_" in word or not math.isfinite(size):  # Python's separator, no number to anyone else
        raise ValueError(word)
    return size


def among(words: Sequence[str], known: Sequence[str]) -> NDArray[np.int32]:
    """Which of the known names each word is, -1 where it is none.

    A word that is not known, but means the same number as exactly one name that is, is that name:
    another program writes 3 as 3.0 where a value is missing from the column.

    Args:
        words: of another file.
        known: distinct names.

    Example:
        >>> among(["3.0", "01", "b", "c"], ["3", "01", "1", "b"]).tolist()
        [0, 1, 3, -1]
    """
    at = {word: index for index, word in enumerate(known)}
    sizes: dict[float, list[int]] = {}
    for index, word in enumerate(known):
        try:
            sizes.setdefault(_size(word), []).append(index)
        except ValueError:
            continue

    def place(word: str) -> int:
        if word in at:
            return at[word]
        try:
            alike = sizes.get(_size(word), []) if "." in word else []
        except ValueError:
            return -1
        return alike[0] if len(alike) == 1 else -1

    return np.array([place(word) for word in words], dtype=np.int32)
