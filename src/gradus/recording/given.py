"""What a trainer of another library gives, in the words of a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

WORDS = {"val": "validation", "valid": "validation", "eval": "validation", "acc": "accuracy"}
"""What other libraries call parts and figures."""


def named(name: str) -> str:
    """A figure under the name that it has in a record.

    Example:
        >>> named("val_acc"), named("eval_loss"), named("train/loss"), named("bleu")
        ('validation_accuracy', 'validation_loss', 'train_loss', 'bleu')
    """
    words = name.replace("/", "_").replace("-", "_").lower().split("_")
    return "_".join(WORDS.get(word, word) for word in words)


def scalars(config: Mapping[str, Any]) -> dict[str, bool | int | float | str | None]:
    """The options that stand in a record: numbers and texts.

    Example:
        >>> scalars({"width": 64, "net": object()})
        {'width': 64}
    """
    return {
        name: value
        for name, value in config.items()
        if isinstance(value, bool | int | float | str | None)
    }


def examples_of(batch: Any) -> int:
    """How many examples a batch has: the length of the first tensor in it.

    Example:
        >>> import torch
        >>> examples_of({"x": torch.zeros(16, 3), "y": torch.zeros(16)})
        16
    """
    if isinstance(batch, Tensor):
        return len(batch) if batch.ndim else 1
    parts = batch.values() if isinstance(batch, Mapping) else batch
    if isinstance(parts, str | bytes) or not hasattr(parts, "__iter__"):
        return 0
    return next((count for part in parts if (count := examples_of(part))), 0)
