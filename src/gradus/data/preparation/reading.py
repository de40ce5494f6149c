"""How a preparation is read from the record of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from gradus.data.preparation.arrays import Arrays
from gradus.data.preparation.preparation import Preparation
from gradus.data.preparation.sparse import Sparse
from gradus.errors import InputError, quoted

AnyPreparation = Preparation | Arrays | Sparse

VERSION = 1
"""Of what is kept: one that is not known is not read."""


def read_preparation(record: Mapping[str, Any], where: str) -> AnyPreparation:
    """The preparation that a record holds: of a table where it does not say of what.

    Raises:
        InputError: it is of a later version, or damaged.

    Example:
        >>> from gradus.data.columns import Form
        >>> from gradus.data.preparation.goal import Classes
        >>> goal = Classes(name="y", form=Form("category"), names=("fig", "pear"))
        >>> pixels = Arrays(shape=(1, 8, 8), holds="bytes", scale=255, goal=goal)
        >>> read_preparation(pixels.record(), "preparation.json") == pixels
        True
    """
    if (version := record.get("version")) != VERSION:
        raise InputError(
            f"{where}: its version is {quoted(version, 20)}, and {VERSION} is known here; take "
            "the version of Gradus that wrote it"
        )
    try:
        if record.get("kind") == "arrays":
            return Arrays.model_validate(record)
        if record.get("kind") == "sparse":
            return Sparse.model_validate(record)
        return Preparation.model_validate(record)
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        at = ".".join(map(str, found["loc"]))
        raise InputError(f"{where}: is damaged ({quoted(at)}: {found['msg']})") from None
