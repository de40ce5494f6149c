"""The parameters that dense layers begin with, drawn as PyTorch draws them, without it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Layer = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Weight ``[out, in]`` and bias ``[out]``."""


def drawn(widths: Sequence[int], seed: int) -> list[Layer]:
    r"""The layers of a network as ``torch.nn.Linear`` draws them, one after another.

    $$A_{ij},\ b_i \sim U\Big[-\frac{1}{\sqrt{d}}, \frac{1}{\sqrt{d}}\Big], \qquad
      d \text{ the inputs of the layer}$$

    by the same generator (MT19937, of which 24 bits make a number) and rounded once, as by PyTorch
    on a processor that multiplies and adds at once: there they are its numbers to the bit.

    Args:
        widths: of the inputs and of every layer.
        seed: as of ``torch.manual_seed``.

    Example:
        >>> import torch
        >>> generator = torch.manual_seed(5)
        >>> layer = torch.nn.Linear(3, 2)
        >>> ((weight, bias),) = drawn([3, 2], seed=5)
        >>> bool(np.allclose(weight, layer.weight.detach(), rtol=1e-6)), bias.shape
        (True, (2,))

    Source: LeCun, Bottou, Orr, Müller (1998), "Efficient BackProp", section 4.6 (the scale).
    """
    random = np.random.RandomState(seed % 2**32)
    layers = []
    for inputs, outputs in itertools.pairwise(widths):
        gain = math.sqrt(2 / (1 + math.sqrt(5) ** 2))  # of kaiming_uniform_ with a = sqrt(5)
        weight = _uniform(random, math.sqrt(3) * (gain / math.sqrt(inputs)), (outputs, inputs))
        layers.append((weight, _uniform(random, 1 / math.sqrt(inputs), (outputs,))))
    return layers


def _uniform(
    random: np.random.RandomState, bound: float, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    low, high = np.float32(-bound), np.float32(bound)
    bits = random.randint(0, 2**32, shape, np.uint32) & np.uint32(2**24 - 1)
    # Exact in float64, so that it is rounded once.
    return (bits * 2.0**-24 * np.float64(high - low) + np.float64(low)).astype(np.float32)
