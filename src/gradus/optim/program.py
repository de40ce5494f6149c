"""How an equation runs in place: recorded once a step, then carried out where the tensors lie.

A method's update is pure: it makes new vectors. Carried out as it stands it writes every
intermediate vector to fresh memory and copies the results back. Here the update is called on
symbols, which record its few multi-tensor operations. The program that they make writes a result
over its first operand wherever nothing reads that operand again, so that a step costs no more
memory than its equation needs; and it runs over pieces small enough to stay in the processor's
cache, so that each number is fetched from memory once a step, not once an operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from gradus.risk.tensors import DeferredVector, multi_tensor

PIECE = 2**19
"""Entries of a piece: what a step reads and writes of it then stays in the last cache."""

Columns = list[Tensor] | tuple[Tensor, ...]
Operation = tuple[Any, ...]
"""A name and the places of its operands."""
Argument = tuple[tuple[Any, ...], dict[str, float]]
"""What an operation is given beside its operands."""
Call = tuple[Any, bool, tuple[int, ...]]
"""What is called, whether it writes over its first operand, and the places of its operands."""
Copy = tuple[str | None, int]
"""The buffer into which a result is copied, and the place of the result."""


@final
class Symbol(DeferredVector):
    """A vector that stands for one to come: its arithmetic is recorded."""

    __slots__ = ()

    @classmethod
    def _apply(cls, operation: str, values: Place, *others: Any, **numbers: float) -> Place:
        program = values.program
        vectors = [other.position for other in others if type(other) is Place]
        program.operations.append((operation, values.position, *vectors))
        program.arguments.append((others[len(vectors) :], numbers))
        dtype = others[0] if operation == "to" else values.dtype
        return Place(program, len(program.inputs) + len(program.operations) - 1, dtype)

    @property
    def dtype(self) -> torch.dtype:
        """The type of the vector."""
        dtype: torch.dtype = self._values.dtype
        return dtype

    @property
    def dtypes(self) -> set[torch.dtype]:
        """The same."""
        return {self.dtype}


class Place(NamedTuple):
    """Which vector of a program: an input, or the result of an operation."""

    program: Program
    position: int
    dtype: torch.dtype


class Program:
    """The operations of one update, and how they run in place.

    Args:
        inputs: the names of the vectors that the update is given.
        constant: the one of them that is only read; all others may be overwritten.
        dtype: their type.
    """

    def __init__(self, inputs: Iterable[str], constant: str, dtype: torch.dtype) -> None:
        self.inputs, self.constant = tuple(inputs), constant
        self.operations: list[Operation] = []
        self.arguments: list[Argument] = []
        self.symbols = {name: Symbol(Place(self, i, dtype)) for i, name in enumerate(self.inputs)}
        self._planned: tuple[list[Call], list[Copy]] | None = None

    def run(self, outputs: Mapping[str, Symbol], buffers: Mapping[str, Columns]) -> None:
        """Carry the operations out, leaving every output in the buffers of its name.

        Args:
            outputs: the results by name.
            buffers: the tensors by name; those of an output that is no input are only written.
        """
        if self._planned is None:
            results = tuple((name, symbol.values.position) for name, symbol in outputs.items())
            self._planned = _plan(self.inputs, self.constant, tuple(self.operations), results)
        calls, copies = self._planned
        arguments = self.arguments
        first = next(iter(buffers.values()))[0]
        if first.is_cpu and first.dtype in (torch.float32, torch.float64):
            arguments = [
                _wrapped(step, given, first.dtype)
                for step, given in zip(self.operations, arguments, strict=True)
            ]
        for piece in _pieces(buffers):
            at: list[Any] = [piece[name] for name in self.inputs]
            for (call, is_in_place, places), (others, numbers) in zip(
                calls, arguments, strict=True
            ):
                operands = [at[place] for place in places]
                made = call(*operands, *others, **numbers)
                at.append(operands[0] if is_in_place else made)
            for name, place in copies:
                if name is None:
                    at[place] = [value.clone() for value in at[place]]
                else:
                    torch._foreach_copy_(piece[name], at[place])


@lru_cache(maxsize=256)
def _plan(
    inputs: tuple[str, ...],
    constant: str,
    operations: tuple[Operation, ...],
    results: tuple[tuple[str, int], ...],
) -> tuple[list[Call], list[Copy]]:
    """Which operations write over their first operand, and what is left to copy."""
    last = {place: at for at, (_, *places) in enumerate(operations) for place in places}
    kept = {place for _, place in results}
    buffer_of = {place: name for place, name in enumerate(inputs) if name != constant}
    fresh: set[int] = set()
    calls: list[Call] = []
    for at, (name, first, *others) in enumerate(operations):
        result = len(inputs) + at
        is_in_place = (
            last[first] == at and first not in kept and (first in buffer_of or first in fresh)
        )
        is_in_place = is_in_place and name != "to"  # which makes numbers of another size
        if is_in_place and first in buffer_of:
            buffer_of[result] = buffer_of.pop(first)
        else:
            fresh.add(result)
        call = multi_tensor(f"{name}_" if is_in_place else name)
        calls.append((call, is_in_place, (first, *others)))
    return calls, _copies(dict(results), buffer_of)


def _wrapped(operation: Operation, given: Argument, dtype: torch.dtype) -> Argument:
    """A number as a tensor: on a CPU torch would make it one anew for every tensor of a list."""
    name, (others, numbers) = operation[0], given
    if not others or isinstance(others[0], Tensor) or name not in ("add", "mul", "div"):
        return given
    number = torch.tensor(others[0], dtype=dtype)
    return (number,), {"alpha": 1.0} if name == "add" else numbers


def _copies(results: Mapping[str, int], buffer_of: Mapping[int, str]) -> list[Copy]:
    """The copies that leave every result in its buffer, none over what another has still to read.

    A copy to None takes its source out of the buffer in which it lies.
    """
    waiting = {name: place for name, place in results.items() if buffer_of.get(place) != name}
    source = {place: buffer_of[place] for place in waiting.values() if place in buffer_of}
    copies: list[Copy] = []
    while waiting:
        to_read = {source[place] for place in waiting.values() if place in source}
        free = [name for name in waiting if name not in to_read]
        copies += [(name, waiting.pop(name)) for name in free]
        if not free:
            place = next(iter(waiting.values()))
            copies.append((None, place))
            del source[place]
    return copies


def _pieces(buffers: Mapping[str, Columns]) -> Iterator[Mapping[str, Columns]]:
    """The buffers cut into pieces that fit the cache; on other devices than the CPU, whole."""
    first = next(iter(buffers.values()))
    sizes = [tensor.numel() for tensor in first]
    if sum(sizes) <= PIECE or first[0].device.type != "cpu":
        yield buffers
        return
    names, rows = tuple(buffers), zip(*buffers.values(), strict=True)
    gathered: list[tuple[Tensor, ...]] = []
    size = 0
    for row, entries in zip(rows, sizes, strict=True):
        if entries > PIECE and all(tensor.is_contiguous() for tensor in row):
            cut = [tensor.view(-1).split(PIECE) for tensor in row]
            for parts in zip(*cut, strict=True):
                yield {name: [part] for name, part in zip(names, parts, strict=True)}
            continue
        gathered.append(row)
        size += entries
        if size >= PIECE:
            yield dict(zip(names, zip(*gathered, strict=True), strict=True))
            gathered, size = [], 0
    if gathered:
        yield dict(zip(names, zip(*gathered, strict=True), strict=True))
