"""The lists of tensors of one multi-tensor call: parameters, gradients and their state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import torch
from torch import Tensor


@dataclass(eq=False)
class TensorLists:
    """Parameters that are moved by one multi-tensor call, with their gradients and state.

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

    @cached_property
    def steps(self) -> list[Tensor]:
        """The counts of steps, a tensor for each parameter; none where they are not counted."""
        return [state["step"] for state in self.states if "step" in state]

    def for_kernel(self, dtype: torch.dtype) -> dict[str, list[Tensor]]:
        """The vectors as a kernel takes them: of one dtype, entry beside entry in one order.

        Tensors that lie otherwise in memory are copied; :meth:`copy_back` returns the results.
        """
        tensors = chain.from_iterable(self.vectors.values())
        if dtype == self.vectors["w"][0].dtype and all(map(Tensor.is_contiguous, tensors)):
            return self.vectors
        rows = [_aligned(row, dtype) for row in zip(*self.vectors.values(), strict=True)]
        columns = zip(*rows, strict=True)
        return {name: list(column) for name, column in zip(self.vectors, columns, strict=True)}

    def copy_back(self, vectors: dict[str, list[Tensor]]) -> None:
        """Copy back what was copied, but for gradients, which are only read."""
        if vectors is self.vectors:
            return
        for name in self.vectors.keys() - {"gradient"}:
            for tensor, taken in zip(self.vectors[name], vectors[name], strict=True):
                if taken is not tensor:
                    tensor.copy_(taken)

    def zeros(self) -> list[Tensor]:
        """A vector of zeros; complex ones as pairs of reals."""
        return [as_real(torch.zeros_like(p)) for p in self.params]

    def add_state(self, name: str, tensors: list[Tensor]) -> None:
        """Keep a vector in the state of each parameter from this step on."""
        self.vectors[name] = tensors
        for p, state, tensor in zip(self.params, self.states, tensors, strict=True):
            state[self.keys[name]] = as_dtype_of(p, tensor)

    def add_zeros(self, names: Iterable[str]) -> None:
        """Keep vectors of zeros from this step on."""
        for name in names:
            self.add_state(name, self.zeros())

    def count_step(self) -> None:
        """Count one step more, where steps are counted."""
        steps = self.steps
        if not steps:
            return
        if steps[0].is_cpu:  # torch would make a tensor of a number anew for each of them
            torch._foreach_add_(steps, torch.ones((), dtype=steps[0].dtype), alpha=1.0)
        else:
            torch._foreach_add_(steps, 1)


def _aligned(row: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """Tensors of one shape, each as it is where all lie alike and without gaps."""
    alike = all(t.is_contiguous() for t in row) or (
        all(t.stride() == row[0].stride() for t in row)
        and torch.ops.aten.is_non_overlapping_and_dense(row[0])
    )
    return [t.to(dtype) if alike else t.to(dtype).contiguous() for t in row]


def grouped(
    moving: Sequence[tuple[Tensor, Tensor]],
    states: Sequence[dict[str, Any]],
    steps: Sequence[Any],
    keys: Mapping[str, str],
    *,
    separately: bool,
) -> Iterator[TensorLists]:
    """Parameters with their gradients in lists of one device, dtype, and number of steps.

    Args:
        moving: pairs of a parameter and its gradient.
        states: what is kept of each.
        steps: how many steps each has taken.
        keys: under which key of its state each vector is kept.
        separately: every parameter by itself.
    """
    params = [p for p, _ in moving]
    columns: dict[str, list[Any]] = {"w": params, "gradient": [g for _, g in moving]}
    absent = []
    for name, key in keys.items():
        columns[name] = [state.get(key) for state in states]
        absent.append([tensor is None for tensor in columns[name]])
    kinds: Sequence[Any] = range(len(params))
    if not separately:
        dtypes, devices = [p.dtype for p in params], [p.device for p in params]
        kinds = list(zip(dtypes, devices, steps, *absent, strict=True))
        if kinds.count(kinds[0]) == len(kinds):
            vectors = {name: column for name, column in columns.items() if column[0] is not None}
            yield TensorLists(steps[0], keys, params, states, _all_real(vectors))
            return
    members: dict[Any, list[int]] = {}
    for index, kind in enumerate(kinds):
        members.setdefault(kind, []).append(index)
    for chosen in members.values():
        vectors = {
            name: [column[index] for index in chosen]
            for name, column in columns.items()
            if column[chosen[0]] is not None
        }
        own = [states[index] for index in chosen]
        yield TensorLists(steps[chosen[0]], keys, vectors["w"], own, _all_real(vectors))


def _all_real(vectors: dict[str, list[Tensor]]) -> dict[str, list[Tensor]]:
    """The vectors, as pairs of reals where they are complex."""
    if not vectors["w"][0].is_complex():
        return vectors
    vectors["gradient"] = [g.resolve_conj() for g in vectors["gradient"]]
    return {name: list(map(as_real, column)) for name, column in vectors.items()}


def as_real(tensor: Tensor) -> Tensor:
    """The tensor itself, or the pairs of reals of a complex one: the equations are real."""
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def as_dtype_of(p: Tensor, tensor: Tensor) -> Tensor:
    """Pairs of reals as complex numbers, if p is complex; else the tensor itself."""
    return torch.view_as_complex(tensor) if p.is_complex() else tensor
