"""Values made of tensors as JSON and tensors by name, and back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_type_hints

import torch
from torch import Tensor

from gradus.risk.tensors import Tensors


def serialized(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """A value in the words of JSON, with its tensors put aside under names that begin with this.

    It is made of tensors, vectors of them, numbers, texts, None; of lists, tuples and mappings of
    such values; and of dataclasses and named tuples, of which the names are written down.

    Raises:
        TypeError: it holds something else.

    Example:
        >>> import torch
        >>> from gradus.methods import Adam
        >>> tensors: dict[str, torch.Tensor] = {}
        >>> form = serialized(Adam(0.1).init(torch.zeros(2)), "state", tensors)
        >>> form["of"], sorted(tensors)
        ('AdaptiveMoments.State', ['state.m', 'state.v'])
        >>> deserialized(form, tensors, classes_of(Adam(0.1).init(torch.zeros(2))))
        AdaptiveMoments.State(step=0, m=tensor([0., 0.]), v=tensor([0., 0.]), v_max=None)
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        copy = value.detach().clone()
        tensors[name] = copy.cpu().contiguous()
        # Sums go through memory as it lies: their rounding depends on the strides.
        return {"tensor": name, "stride": list(copy.stride()), "device": copy.device.type}
    if isinstance(value, Tensors):
        return {"tensors": _each(value.parts, name, tensors)}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return {"mapping": dict(_named(value.items(), name, tensors))}
        # JSON knows no other keys: those of the state_dict of an optimizer are numbers.
        keys = [serialized(key, f"{name}, key", tensors) for key in value]
        return {"pairs": [keys, _each(value.values(), name, tensors)]}
    if is_dataclass(value) and not isinstance(value, type):
        named = ((field.name, getattr(value, field.name)) for field in fields(value))
        return {"of": type(value).__qualname__, "fields": dict(_named(named, name, tensors))}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        named = value._asdict().items()
        return {"of": type(value).__qualname__, "fields": dict(_named(named, name, tensors))}
    for kind, made in SEQUENCES.items():
        if type(value) is made:
            return {kind: _each(value, name, tensors)}
    raise TypeError(
        f"{name} is a {type(value).__name__}, which cannot be kept: a state is made of tensors, "
        "numbers, texts, None, and lists, tuples, mappings and dataclasses of them"
    )


SEQUENCES: dict[str, Callable[[Any], Any]] = {"list": list, "tuple": tuple, "deque": deque}


def _each(values: Any, name: str, tensors: dict[str, Tensor]) -> list[Any]:
    return [serialized(value, f"{name}.{i}", tensors) for i, value in enumerate(values)]


def _named(items: Any, name: str, tensors: dict[str, Tensor]) -> Iterator[tuple[str, Any]]:
    for key, value in items:
        yield key, serialized(value, f"{name}.{key}", tensors)


def deserialized(
    form: Any,
    tensors: Mapping[str, Tensor],
    classes: Mapping[str, type] | None = None,
    device: str | None = None,
) -> Any:
    """The value that :func:`serialized` gave, of copies of its tensors.

    Args:
        form: what was said of it.
        tensors: those that were put aside.
        classes: the dataclasses and named tuples that may be made, by their names.
        device: where its tensors are to be; None: where they were.

    Raises:
        KeyError: it is of another class, or a tensor is missing.
    """

    def made(form: Any) -> Any:
        if isinstance(form, list):
            return [made(part) for part in form]
        if not isinstance(form, dict):
            return form
        if "tensor" in form:
            source = tensors[form["tensor"]]
            copy = torch.empty_strided(
                source.shape, form["stride"], dtype=source.dtype, device=device or form["device"]
            )
            return copy.copy_(source)
        if "of" in form:
            kind = (classes or {})[form["of"]]
            return kind(**{name: made(part) for name, part in form["fields"].items()})
        ((kind, parts),) = form.items()
        if kind == "tensors":
            return Tensors(*made(parts))
        if kind == "pairs":
            return dict(zip(*map(made, parts), strict=True))
        if kind == "mapping":
            return {name: made(part) for name, part in parts.items()}
        return SEQUENCES[kind](made(parts))

    return made(form)


def classes_of(state: Any) -> dict[str, type]:
    """The dataclasses and named tuples of which a state is made, and of which its type speaks.

    A state before the first step need not hold all that it will: the pairs of L-BFGS are known by
    the annotation of their field.
    """
    found: dict[str, type] = {}

    def see(value: Any) -> None:
        kind = type(value)
        if is_dataclass(kind) or hasattr(kind, "_asdict"):
            see_type(kind)
            for name in get_type_hints(kind):
                see(getattr(value, name))
        elif isinstance(value, list | tuple | deque):
            for part in value:
                see(part)
        elif isinstance(value, Mapping):
            see(list(value.values()))

    def see_type(hint: Any) -> None:
        for part in get_args(hint):
            see_type(part)
        is_class = isinstance(hint, type) and (is_dataclass(hint) or hasattr(hint, "_asdict"))
        if is_class and hint.__qualname__ not in found:
            found[hint.__qualname__] = hint
            for inner in get_type_hints(hint).values():
                see_type(inner)

    see(state)
    return found
