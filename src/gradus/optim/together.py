"""What a step reads and writes: parameters that move together, and what is kept of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(eq=False, slots=True)
class Together:
    """Parameters that take their step together.

    Attributes:
        step: how many steps they have taken: a number, or a tensor where the host must not wait.
        keys: under which key of its state each vector of a parameter is kept.
        params: the parameters.
        states: what the optimizer keeps of each of them.
        vectors: ``w``, ``gradient`` and the kept vectors; complex ones as pairs of reals.
    """

    step: Any
    keys: Mapping[str, str]
    params: Sequence[Tensor]
    states: Sequence[dict[str, Any]]
    vectors: dict[str, list[Tensor]]

    @property
    def steps(self) -> list[Tensor]:
        """The counts of steps, a tensor for each parameter; none where they are not counted."""
        return [state["step"] for state in self.states if "step" in state]

    @contextmanager
    def aligned(self, dtype: torch.dtype) -> Iterator[dict[str, list[Tensor]]]:
        """The vectors as a kernel takes them: of one dtype, entry beside entry in one order.

        Tensors that lie otherwise in memory are copied, and what becomes of the copies is copied
        back; gradients are only read.
        """
        rows = [_aligned(row, dtype) for row in zip(*self.vectors.values(), strict=True)]
        columns = zip(*rows, strict=True)
        vectors = {name: list(column) for name, column in zip(self.vectors, columns, strict=True)}
        yield vectors
        for name in self.vectors.keys() - {"gradient"}:
            for tensor, taken in zip(self.vectors[name], vectors[name], strict=True):
                if taken is not tensor:
                    tensor.copy_(taken)

    def make_room(self, names: Iterable[str]) -> None:
        """Vectors of zeros for what is kept from this step on."""
        for name in names:
            fresh = [torch.zeros_like(p) for p in self.params]
            self.vectors[name] = [real(tensor) for tensor in fresh]
            for state, tensor in zip(self.states, fresh, strict=True):
                state[self.keys[name]] = tensor


def _aligned(row: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """Tensors of one shape, each as it is where all lie alike and without gaps."""
    alike = all(t.is_contiguous() for t in row) or (
        all(t.stride() == row[0].stride() for t in row)
        and torch.ops.aten.is_non_overlapping_and_dense(row[0])
    )
    return [t.to(dtype) if alike else t.to(dtype).contiguous() for t in row]


def real(tensor: Tensor) -> Tensor:
    """The tensor itself, or the pairs of reals of a complex one: the equations are real."""
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def of_kind(p: Tensor, tensor: Tensor) -> Tensor:
    """A real tensor as p is: complex again, if p is."""
    return torch.view_as_complex(tensor) if p.is_complex() else tensor
