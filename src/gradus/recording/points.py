"""What a loop goes on from: the states of its objects and of what is drawn at random."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from gradus.engine.serialization import deserialized, serialized
from gradus.errors import InputError, quoted, reason
from gradus.runs import checkpoint


@runtime_checkable
class Stateful(Protocol):
    """Anything whose state can be taken and given back, as PyTorch's objects."""

    def state_dict(self) -> Any:
        """Its state."""

    def load_state_dict(self, state: Any) -> Any:
        """Take a state that was given."""


Kept = Stateful | torch.Generator


class Place(NamedTuple):
    """Where a loop stands.

    Attributes:
        step: the steps that it has taken.
        samples: the examples that it has consumed.
        epoch: in which it stands, counted from 1.
        rows: of its history.
        evaluations: of its epochs.
        seconds: that it has run.
    """

    step: int
    samples: int
    epoch: int
    rows: int
    evaluations: int
    seconds: float


def check(objects: Mapping[str, Any]) -> None:
    """Refuse what has no state that can be kept.

    Raises:
        InputError: an object has none.
    """
    for name, each in objects.items():
        if not isinstance(each, Stateful | torch.Generator):
            raise InputError(
                f"{name}: a {type(each).__name__} has no state_dict and load_state_dict, and "
                "cannot be kept for a resume point"
            )


def keep(folder: Path, objects: Mapping[str, Kept], place: Place) -> None:
    """Write down where a loop stands; what was kept before is removed once this is there.

    Raises:
        InputError: the state of an object holds what safetensors and JSON do not know.
        OSError: it cannot be written; what was kept before is as it was.
    """
    tensors: dict[str, Tensor] = {}
    states: dict[str, Any] = {}
    for name, each in objects.items():
        state = each.get_state() if isinstance(each, torch.Generator) else each.state_dict()
        try:
            states[name] = serialized(state, name, tensors)
        except TypeError as error:
            raise InputError(f"keep: the state of {error}") from None
    drawn = serialized(_random_state(), "random", tensors)
    checkpoint.write_parts(
        folder, tensors, {"place": place._asdict(), "states": states, "random": drawn}
    )


def read(folder: Path, tell: Any) -> tuple[Place, dict[str, Any], Any] | None:
    """Where a loop stood last, the states by name, and that of what is drawn at random.

    Args:
        folder: of what is kept.
        tell: told, in one line each, of what is damaged: what was kept before is then taken.
    """

    def made(tensors: dict[str, Tensor], facts: dict[str, Any]) -> Any:
        place = Place(**facts["place"])
        states = {n: deserialized(s, tensors, device="cpu") for n, s in facts["states"].items()}
        return place, states, deserialized(facts["random"], tensors, device="cpu")

    return checkpoint.read_parts(folder, tell, made)


def give_back(objects: Mapping[str, Kept], states: Mapping[str, Any], drawn: Any) -> None:
    """Have objects, and what is drawn at random, stand where they stood.

    Raises:
        InputError: they are not those that were kept.
    """
    if objects.keys() != states.keys():
        raise InputError(
            f"resume: keeps the states of {', '.join(states)}, and was given "
            f"{', '.join(objects)}; give the same"
        )
    for name, each in objects.items():
        try:
            if isinstance(each, torch.Generator):
                each.set_state(states[name])
            else:
                each.load_state_dict(states[name])
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"resume: what is kept of {name} is that of another {type(each).__name__}: "
                f"{quoted(error) if isinstance(error, RuntimeError) else reason(error)}"
            ) from error
    try:
        _draw_from(drawn)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"resume: what is kept of the random generators is not theirs: {reason(error)}"
        ) from error


def _random_state() -> dict[str, Any]:
    """Of Python, NumPy and PyTorch, on every device that was drawn on."""
    kind, keys, at, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    state = {
        "python": random.getstate(),
        "numpy": [kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), at, has_gauss, gauss],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def _draw_from(state: Mapping[str, Any]) -> None:
    random.setstate(state["python"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.device_count() == len(state["cuda"]):
        torch.cuda.set_rng_state_all(state["cuda"])
