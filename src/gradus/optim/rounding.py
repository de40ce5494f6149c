"""How torch's CPU kernels round, asked of them: an update that rounds alike has to know.

Two operations depend on the processor and on how torch was built. A product and the sum that it
enters (``add`` with ``alpha``, ``addcmul``, ``lerp``) are one operation with one rounding where
torch's kernels use fused multiply-add, and two elsewhere. And ``sqrt`` is that of a mathematical
library: MKL's is not always the correctly rounded one.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

SAMPLE = 2**13
"""Roots that are looked at: those of MKL on an AMD EPYC are wrong in more than 1 of 100."""


@lru_cache
def rounds_once() -> bool | None:
    """Whether torch rounds a product and the sum that it enters once, together.

    Asked of torch are products a little away from a number of the type, from which that number is
    taken: what is left is 0 if the product was rounded first.

    Returns:
        None where some kernels do and others do not.

    Example:
        >>> from gradus.optim.rounding import rounds_once
        >>> rounds_once() in (True, False, None)
        True
    """
    left = []
    for dtype in (torch.float32, torch.float64):
        eps = torch.finfo(dtype).eps
        for size in (1, 67):  # what a kernel does in vectors, and with the rest
            one = _full(size, 1 + eps, dtype)
            left += [
                torch.add(_full(size, -1 - 2 * eps, dtype), one, alpha=1 + eps),
                torch.addcmul(_full(size, -1 - 2 * eps, dtype), one, one, value=1.0),
                # From the nearer end: the start, and the end.
                torch.lerp(
                    _full(size, -1 - 2 * eps, dtype),
                    _full(size, 3 + 2 * eps, dtype),
                    0.25 * (1 + eps),
                ),
                torch.lerp(
                    _full(size, -3 - 4 * eps, dtype),
                    _full(size, 1 + 4 * eps, dtype),
                    0.75 - 0.5 * eps,
                ),
            ]
    is_left = torch.cat(left) != 0
    if bool(is_left.all()):
        return True
    return None if bool(is_left.any()) else False


@lru_cache
def rounds_roots() -> bool:
    """Whether torch's square roots are rounded correctly, as those of the processor are.

    Example:
        >>> from gradus.optim.rounding import rounds_roots
        >>> rounds_roots() in (True, False)
        True
    """
    # math.sqrt rounds correctly; a root of a float32 that is rounded twice is so too, since a
    # float64 has more than twice its digits (Figueroa, 1995).
    for dtype in (torch.float32, torch.float64):
        numbers = torch.linspace(1, 4, SAMPLE, dtype=dtype, device="cpu")
        correct = torch.tensor(list(map(math.sqrt, numbers.tolist())), dtype=dtype, device="cpu")
        if not torch.equal(numbers.sqrt(), correct):
            return False
    return True


def _full(size: int, number: float, dtype: torch.dtype) -> Tensor:
    return torch.full((size,), number, dtype=dtype, device="cpu")
