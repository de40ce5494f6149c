"""The kernels' linear model on inputs that are mostly zeros, called as their networks are.

A step costs the non-zeros of its batch: what the other weights would have done in it (weight decay,
momentum, proximal steps) is made up for when they are touched again. Where that cannot be, as in
Adam, a step moves all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradus import kernels
from gradus.engine.words import Words

Arrays = NDArray[Any]
KEPT = "sparse."
"""What the names begin with under which it keeps where it stands."""


class Linear:
    """A linear model in training, with the methods of the core's ``Network``; its layer is 0."""

    threads = 1

    def __init__(self, words: Words, threads: int) -> None:
        core: Any = kernels.core()
        self.bits = words.bits
        (layer,) = words.layers
        self.core = getattr(core, f"Sparse{self.bits}")(
            *(kernels.variant(), words.inputs, layer["outputs"], layer["has_bias"]),
            *(words.log_softmax, words.risk, *words.movement(), threads),
            **words.options,
        )

    def data(self, **arrays: Any) -> Any:
        """The examples as the kernels take them."""
        return getattr(kernels.core(), f"SparseData{self.bits}")(**arrays)

    def set(self, layer: int, weight: Arrays, bias: Arrays | None = None) -> None:
        """Set the parameters, and forget all steps."""
        self.core.set(weight, bias)

    def get(self, layer: int, weight: Arrays, bias: Arrays | None = None) -> None:
        """Write the parameters at the iterate into these arrays."""
        self.core.get(weight, bias)

    @property
    def columns(self) -> int:
        """How many numbers belong to a parameter: itself, and what the method remembers."""
        return int(self.core.columns)

    @property
    def steps(self) -> int:
        """How many steps were taken since the parameters were set."""
        return int(self.core.steps)

    def read(self, layer: int, column: int, weight: Arrays, bias: Arrays | None = None) -> None:
        """Write a column into these arrays."""
        self.core.read(column, weight, bias)

    def write(self, layer: int, column: int, weight: Any, bias: Any = None) -> None:
        """Set a column before the first step."""
        self.core.write(column, weight, bias)

    def run(
        self,
        data: Any,
        order: NDArray[np.int64],
        size: int,
        rates: NDArray[np.float64],
        losses: NDArray[np.float64],
        threads: int = 1,
        **given: Any,
    ) -> None:
        """Take steps, writing down their losses."""
        self.core.run(data, order, size, rates, losses, **given)

    def outputs(self, data: Any, order: NDArray[np.int64], to: Arrays) -> None:
        """Write what the model gives at the iterate for these examples."""
        self.core.outputs(data, order, to)

    def kept(self) -> dict[str, Arrays]:
        """Where it stands, with what is not made up for: what goes on from it does to the bit."""
        return {KEPT + name: array for name, array in self.core.kept().items()}

    def go_on(self, kept: Mapping[str, Any], steps: int) -> None:
        """Stand where another has stood after so many steps."""
        named = {name: np.asarray(value) for name, value in kept.items() if name.startswith(KEPT)}
        self.core.go_on({name.removeprefix(KEPT): each for name, each in named.items()}, steps)
