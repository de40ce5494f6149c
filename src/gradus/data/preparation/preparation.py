"""What was fitted to the training rows of a table, and turns rows of any table of the kind into x.

It is data: numbers, names and forms, kept beside the parameters of a run as ``preparation.json``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from gradus.data.columns import Column
from gradus.data.preparation.goal import Classes, Quantities
from gradus.data.preparation.moments import Dates, Times
from gradus.data.preparation.names import Names
from gradus.data.preparation.numbers import Flags, Numbers
from gradus.data.reading.notation import AS_GUESSED, Notation
from gradus.data.side_by_side import side_by_side

AnyEncoder = Numbers | Flags | Names | Dates | Times

NUMBERS = 2**18
"""Numbers of x that are made at once: what the processor keeps at hand."""


class Preparation(BaseModel):
    """How rows become x, and what outputs of the model mean.

    Attributes:
        version: of this format.
        kind: of the preparation.
        encoders: one for each column that is used, in the order of their features.
        goal: what is predicted.
        notation: how values are written, as far as the user said that.

    Example:
        >>> from gradus.data.columns import Form
        >>> grams = Numbers(name="grams", form=Form("number"), centre=100, scale=50)
        >>> goal = Classes(name="fruit", form=Form("category"), names=("fig", "pear"))
        >>> fruit = Preparation(encoders=(grams,), goal=goal)
        >>> column = Column("grams", grams.form, np.array([50.0, 150.0]))
        >>> fruit.features, fruit.inputs([column], "float32").tolist()
        (('grams',), [[-1.0], [1.0]])
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    kind: Literal["table"] = "table"
    encoders: tuple[Annotated[AnyEncoder, Field(discriminator="kind")], ...]
    goal: Annotated[Classes | Quantities, Field(discriminator="kind")]
    notation: Notation = AS_GUESSED

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the columns of x."""
        return tuple(name for encoder in self.encoders for name in encoder.features)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one input."""
        return (len(self.features),)

    def inputs(
        self,
        columns: Sequence[Column],
        dtype: Literal["float32", "float64"],
        rows: NDArray[np.int64] | None = None,
    ) -> NDArray[np.floating]:
        """The x of some rows, ``[N, features]``.

        Args:
            columns: one for each encoder, in their order.
            dtype: of x.
            rows: their numbers; None: all.
        """
        each = [
            (encoder, encoder.reduced(column) if isinstance(encoder, Names) else column)
            for encoder, column in zip(self.encoders, columns, strict=True)
        ]
        ends = np.cumsum([0, *(len(encoder.features) for encoder in self.encoders)]).tolist()
        count = len(columns[0].values) if rows is None else len(rows)
        x: NDArray[np.floating] = np.empty((count, ends[-1]), dtype=dtype)
        size = max(NUMBERS // ends[-1], 1024)

        def encode(start: int) -> None:
            at = slice(start, start + size)
            kept = at if rows is None else rows[at]
            for (encoder, column), begin, end in zip(each, ends[:-1], ends[1:], strict=True):
                x[at, begin:end] = encoder.encode(column.rows(kept))

        side_by_side(encode, range(0, count, size))
        return x

    def record(self) -> dict[str, Any]:
        """As data for JSON."""
        content = self.model_dump(mode="json")
        for kept, encoder in zip(content["encoders"], self.encoders, strict=True):
            kept["form"] = encoder.form.record()
        return content
