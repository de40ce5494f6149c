"""Layers begin where those of PyTorch begin."""

import numpy as np
import pytest
import torch

from gradus.models.drawn import drawn
from gradus.models.networks import mlp


@pytest.mark.parametrize("seed", [0, 7, 2**31 + 5, 2**40 + 1, 2**62 + 9])
@pytest.mark.parametrize("widths", [[1, 1], [7, 5, 3], [64, 300, 10]])
def test_layers_are_those_that_torch_draws(widths, seed):
    torch.manual_seed(seed)
    model = mlp(widths[:1], widths[-1], widths[1:-1])
    parameters = [each.detach().numpy() for each in model.parameters()]
    ours = [each for layer in drawn(widths, seed) for each in layer]
    assert len(ours) == len(parameters)
    for one, other in zip(ours, parameters, strict=True):
        assert one.dtype == np.float32
        # Where torch was built without multiplying and adding at once it rounds once more.
        np.testing.assert_allclose(one, other, rtol=0, atol=2**-23 / np.sqrt(other.shape[-1]))
