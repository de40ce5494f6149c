"""Products in bfloat16: half the memory and, where the processor has them, more of them at once.

Parameters, what the method remembers, losses and sums stay float32: what is rounded to the 8 bits
of bfloat16 are the factors of a product, and what a layer gives. The model is evaluated, saved and
predicts in float32.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

INSTRUCTIONS = ("avx512_bf16", "amx_bf16")
"""Of a processor that multiplies numbers of bfloat16: without, they would be widened one by one."""


def absence(device: torch.device) -> str | None:
    """Why products in bfloat16 do not pay on a device, as one sentence; None where they do."""
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return None
        return f"{torch.cuda.get_device_name(device)} multiplies no numbers of bfloat16"
    found = torch.cpu.get_capabilities()
    if any(found.get(name) for name in INSTRUCTIONS):
        return None
    return "this processor has neither AVX512_BF16 nor AMX, and multiplies no numbers of bfloat16"


@final
class InBfloat16(nn.Module):
    """A model whose products are taken in bfloat16, and its output in float32.

    Which operations those are says the autocast of PyTorch.

    Example:
        >>> one = nn.Linear(1, 1, bias=False)
        >>> _ = nn.init.constant_(one.weight, 1 + 2**-9)
        >>> InBfloat16(one, "cpu")(torch.ones(1, 1)).item()
        1.0

    Source: Kalamkar et al. (2019), "A study of BFLOAT16 for deep learning training".
    """

    def __init__(self, model: nn.Module, device_type: str) -> None:
        super().__init__()
        self.model, self.device_type = model, device_type

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102  (said by the class)
        with torch.autocast(self.device_type, torch.bfloat16):
            output: Tensor = self.model(x)
        return output.float()
