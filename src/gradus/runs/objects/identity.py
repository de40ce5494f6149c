"""What identifies an object of the user's in the record of a run."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradus.errors import quoted
from gradus.models.own import OBJECT
from gradus.risk.sparse import parts_of

DIGITS = 12
"""Of a digest, where an object is written in a spec."""

LIBRARIES = ("torch", "gradus", "builtins")
"""Packages whose source is told by their version, which a record has."""


@dataclass(frozen=True)
class Identity:
    """What identifies an object.

    Attributes:
        name: the qualified name of its class, or its own, where it is a class or a function.
        options: with which it was made, as far as it shows them, in the words of JSON.
        source: the SHA-256 of the source of the user's that it is made by; None where there is
            none.
        content: the SHA-256 of the numbers that it holds: parameters, examples; None without any.
    """

    name: str
    options: Mapping[str, Any]
    source: str | None = None
    content: str | None = None

    @property
    def written(self) -> str:
        """How it stands in a spec."""
        canonical = json.dumps(self.record(), sort_keys=True).encode()
        return f"{OBJECT}{self.name}#{hashlib.sha256(canonical).hexdigest()[:DIGITS]}"

    def record(self) -> dict[str, Any]:
        """How it stands in run.json."""
        return {
            "name": self.name,
            "options": dict(self.options),
            "source": self.source,
            "content": self.content,
        }


def identity_of(given: Any) -> Identity:
    """What identifies an object, a class, a function or a partial of one.

    Example:
        >>> import torch
        >>> identity_of(torch.nn.SmoothL1Loss(beta=0.5)).options["beta"]
        0.5
        >>> identity_of(functools.partial(torch.optim.SGD, lr=0.1)).name
        'torch.optim.SGD'
    """
    if isinstance(given, functools.partial):
        inner = identity_of(given.func)
        options = {str(at): plain(each) for at, each in enumerate(given.args)}
        options |= {name: plain(each) for name, each in given.keywords.items()}
        return replace(inner, options={**inner.options, **options})
    if inspect.isclass(given) or inspect.isroutine(given):
        return Identity(_qualified(given), {}, _source_of([given]))
    kind = type(given)
    if isinstance(given, nn.Module):
        kinds = {type(module) for module in given.modules()}
        options = {**_shown(given), "layers": repr(given).splitlines()}
        return Identity(_qualified(kind), options, _source_of(kinds), _content_of(given))
    return Identity(_qualified(kind), _shown(given), _source_of([kind]))


def plain(value: Any) -> Any:
    """A value in the words of JSON: tensors and arrays by their content."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, Tensor | np.ndarray):
        return f"sha256:{digest_of({'': value})}"
    if inspect.isclass(value) or inspect.isroutine(value):
        return _qualified(value)
    return re.sub(r" at 0x[0-9a-f]+", "", quoted(value))


def digest_of(arrays: Mapping[str, Tensor | np.ndarray[Any, Any]]) -> str:
    """The SHA-256 of arrays with their names, shapes and types."""
    digest = hashlib.sha256()
    for name, given in arrays.items():
        digest.update(f"{name} {given.dtype} {tuple(given.shape)}".encode())
        if isinstance(given, Tensor):
            for part in parts_of(given.detach().cpu()):
                if part.numel():  # as bytes, also of a type that NumPy does not have
                    digest.update(part.contiguous().flatten().view(torch.uint8).numpy().data)
        else:
            digest.update(np.ascontiguousarray(given).data)
    return digest.hexdigest()


def _shown(given: Any) -> dict[str, Any]:
    """The options that an object shows: the fields of a dataclass, else its public attributes."""
    if is_dataclass(given):
        return {each.name: plain(getattr(given, each.name)) for each in fields(given)}
    own = getattr(given, "__dict__", {})
    return {
        name: plain(value)
        for name, value in sorted(own.items())
        if not name.startswith("_") and name != "training"
    }


def _content_of(module: nn.Module) -> str | None:
    """The digest of the parameters and buffers that a module comes with."""
    found = module.state_dict()
    tensors = {name: value for name, value in found.items() if isinstance(value, Tensor)}
    return digest_of(tensors) if tensors else None


def _qualified(kind: Any) -> str:
    """Under the shortest name at which it stands: ``torch.nn.Linear``."""
    name = str(getattr(kind, "__qualname__", None) or type(kind).__qualname__)
    whole = str(getattr(kind, "__module__", None) or "")
    parts = whole.split(".")
    for end in range(1, len(parts)):
        package = ".".join(parts[:end])
        if getattr(sys.modules.get(package), name, None) is kind:
            return f"{package}.{name}"
    return f"{whole}.{name}" if whole else name


def _source_of(kinds: Any) -> str | None:
    """The digest of the source of those that are the user's own, where it can be had."""
    found = sorted(_sources(kinds))
    return hashlib.sha256("\n".join(found).encode()).hexdigest() if found else None


def _sources(kinds: Any) -> Iterator[str]:
    for kind in kinds:
        if str(getattr(kind, "__module__", "")).partition(".")[0] in LIBRARIES:
            continue
        try:
            yield inspect.getsource(kind)
        except (OSError, TypeError):  # typed at a prompt, or no Python
            continue
