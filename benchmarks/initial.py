"""Where every contender starts: the parameters as torch draws them, for those without torch."""

from __future__ import annotations

import sys

import numpy as np
import torch

from benchmarks import peers
from benchmarks.reference import SEED


def main() -> None:
    """``python -m benchmarks.initial FILE``: weights and biases, layer by layer, as .npz."""
    torch.manual_seed(SEED)
    parameters = peers.network().parameters()
    np.savez(sys.argv[1], *(parameter.detach().numpy() for parameter in parameters))


if __name__ == "__main__":
    main()
