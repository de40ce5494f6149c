"""What is added to a risk to keep w small: penalties, their gradients and their proximal steps.

Each penalty sees ``w`` as a flat tensor [d], as [K, d] where each row is a vector of its own (and
``strength`` may be [K, 1]), or as a :class:`~gradus.risk.tensors.Tensors`, whose tensors together
are one vector. Hence arithmetic by methods only.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar, final

import torch
from torch import Tensor

Scalar = float | Tensor


class Vector(Protocol):
    """What a penalty asks of w."""

    def __add__(self, other: Self, /) -> Self: ...
    def __mul__(self, other: Scalar, /) -> Self: ...
    def __truediv__(self, other: Scalar, /) -> Self: ...
    def abs(self) -> Self:
        """Return the absolute values."""
        ...
