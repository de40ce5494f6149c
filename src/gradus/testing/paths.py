"""The path of a method: its points and states, made step by step, kept and compared."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from gradus.methods.hyperparameters import Number
from gradus.methods.layout import Layout, begun
from gradus.methods.method import Batch, Method, Oracle, Point, State
from gradus.risk.tensors import Tensors


def walk(
    method: Method, f: Oracle, w: Point, steps: int, state: State | None = None
) -> Iterator[tuple[Point, State]]:
    """Each point of a path, with its state; from a start of its own, or from a kept state on."""
    return follow(method, w, [(f, None)] * steps, state)


def follow(
    method: Method, w: Point, seen: Iterable[tuple[Oracle, Batch]], state: State | None = None
) -> Iterator[tuple[Point, State]]:
    """Each point of a path, with its state, where every step sees an f and a batch of its own."""
    if state is None:
        w = w + 0.0
        state = begun(method, w, layout(w))
    yield w, state
    for f, batch in seen:
        w, state = method.step(f, w, state, batch)
        yield w, state


def listed(w: Tensor) -> Tensors:
    """A vector as a list of tensors: a matrix, a number, and what is left."""
    parts = [w[:2].clone().view(2, 1), w[2].clone()]
    return Tensors([*parts, w[3:].clone()] if len(w) > 3 else parts)


def layout(w: Point) -> Layout:
    """The layers of that list, also where w is the vector, or rows of such."""
    return Layout.of(w if isinstance(w, Tensors) else listed(w.reshape(-1, w.shape[-1])[0]))


FORMS: dict[str, Callable[[Tensor], Point]] = {
    "as a vector": torch.clone,
    "as a list of tensors": listed,
}


def flat_path(path: Iterable[tuple[Point, State]]) -> Tensor:
    """The points of a path as one tensor, ``[steps + 1, d]`` (or ``[steps + 1, K, d]``)."""
    return torch.stack([w.flat() if isinstance(w, Tensors) else w for w, _ in path])


# Points and states, looked into.

Leaves = list[tuple[str, Any]]


def leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Every tensor and every other value in a point or a state, with its place."""
    if isinstance(value, Tensors):
        value = value.values
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from leaves(getattr(value, field.name), f"{place}.{field.name}")
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            yield from leaves(each, f"{place}[{index}]")
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, f"{place}[{key!r}]")
    elif hasattr(value, "__dict__") and not isinstance(value, Tensor | type):
        yield from leaves(vars(value), place)
    else:
        yield place, value


def tensors_in(point: Point, state: State) -> Leaves:
    """Every tensor of numbers in a point and a state."""
    found = (*leaves(point, "w"), *leaves(state, "state"))
    return [(place, each) for place, each in found if _is_number(each)]


def _is_number(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def snapshot(value: Any, place: str) -> Leaves:
    """The value as it is now."""
    return [
        (place, each.clone() if isinstance(each, Tensor) else each)
        for place, each in leaves(value, place)
    ]


def difference(one: Leaves, other: Leaves) -> str | None:
    """Where two values first differ, in any bit; None where they are the same."""
    if [place for place, _ in one] != [place for place, _ in other]:
        return "what is in it"
    for (place, a), (_, b) in zip(one, other, strict=True):
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            same = a.shape == b.shape and a.dtype == b.dtype
            same = same and bool(((a == b) | ((a != a) & (b != b))).all())
        else:
            same = a is b or bool(a == b)
        if not same:
            return place
    return None


# Hyper-parameters, wherever a method keeps them.


def with_numbers(method: Any, change: Callable[[float], Number]) -> Any:
    """The method with each hyper-parameter that is a number, and not 0, changed."""
    if dataclasses.is_dataclass(method) and not isinstance(method, type):
        names = [field.name for field in dataclasses.fields(method) if field.init]
        changed = {name: _changed(name, getattr(method, name), change) for name in names}
        return dataclasses.replace(method, **changed)
    twin = copy.copy(method)
    for name, value in vars(method).items():
        setattr(twin, name, _changed(name, value, change))
    return twin


def _changed(name: str, value: Any, change: Callable[[float], Number]) -> Any:
    if isinstance(value, Method):
        return with_numbers(value, change)
    if isinstance(value, tuple):
        return tuple(_changed(name, each, change) for each in value)
    is_number = isinstance(value, float) or (name == "lr" and type(value) is int)
    return change(float(value)) if is_number and value != 0 else value


def has_numbers(method: Method) -> bool:
    """Whether a method has hyper-parameters that :func:`with_numbers` changes."""
    found: list[float] = []

    def noted(number: float) -> float:
        found.append(number)
        return number

    with_numbers(method, noted)
    return bool(found)
