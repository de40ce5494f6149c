"""Batches that an iterable gives, epoch by epoch, as a loader does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from torch.utils.data import DataLoader, IterableDataset

from gradus.errors import InputError, OwnCodeError, quoted
from gradus.runs.objects.identity import Identity, identity_of


class Batches(IterableDataset[Any]):
    """The batches of an iterable, which begins again every epoch.

    Args:
        given: a function that gives them, as one that yields does; or what ``iter`` begins anew.
        length: how many an epoch has; None: all that there are.
        name: of these data, for messages.

    Raises:
        InputError: it is neither, or can be gone through once alone.

    Example:
        >>> list(Batches(lambda: iter([1, 2, 3]), 2, "data"))
        [1, 2]
    """

    def __init__(self, given: Any, length: int | None, name: str) -> None:
        kind = type(given).__name__
        if isinstance(given, Iterator) and length is not None:
            raise InputError(
                f"{name}: a {kind} is exhausted after one epoch; give the function that makes it, "
                f"{name}=batches and not batches(), or what can be begun again"
            )
        if not callable(given) and not isinstance(given, Iterable):
            raise InputError(f"{name}: a {kind}; give an iterable of batches, or a function of it")
        if length is not None and (not isinstance(length, int) or length < 1):
            raise InputError(
                f"length={quoted(length)}: give how many batches an epoch has, 1 at least"
            )
        self.given, self.length, self.name = given, length, name

    def __iter__(self) -> Iterator[Any]:
        """Those of one epoch.

        Raises:
            OwnCodeError: they are fewer than an epoch has.
        """
        begun = self.given() if callable(self.given) else self.given
        at = 0
        for at, batch in enumerate(begun, start=1):
            yield batch
            if at == self.length:
                return
        if self.length is not None:
            raise OwnCodeError(
                f"{self.name}: gives {at} batches, where an epoch has length={self.length}"
            )

    def loader(self) -> DataLoader[Any]:
        """They as a loader, which takes each as it is."""
        return DataLoader(self if self.length is None else _Known(self), batch_size=None)

    @property
    def identity(self) -> Identity:
        """What identifies them."""
        found = identity_of(self.given)
        return replace(found, options={**found.options, "batches": self.length})


class _Known(IterableDataset[Any]):
    """Batches of which the number is known."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)

    def __len__(self) -> int:
        assert self.batches.length is not None
        return self.batches.length
