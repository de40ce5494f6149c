"""The activations of the kernels and their slopes against those of torch, in every variant."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from gradus import kernels
from gradus.engine.activations import ACTIVATIONS, activation_of

core = kernels.core()
pytestmark = pytest.mark.skipif(core is None, reason=str(kernels.absence()))

LAYERS = [
    nn.Identity(), nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.GELU(), nn.GELU("tanh"), nn.SiLU(),
    nn.Mish(), nn.Softsign(), nn.Tanhshrink(), nn.Softplus(), nn.Softplus(2.0, 4.0),
    nn.Softplus(-0.5, 30.0), nn.LogSigmoid(), nn.ELU(), nn.ELU(0.5), nn.CELU(2.0), nn.SELU(),
    nn.LeakyReLU(), nn.LeakyReLU(-0.5), nn.Threshold(0.5, -2.0), nn.Hardtanh(-1.0, 2.0),
    nn.ReLU6(), nn.Hardsigmoid(), nn.Hardswish(), nn.Softshrink(), nn.Hardshrink(),
]  # fmt: skip
TYPES = [np.float32, np.float64]
KINKS = [-3.0, -1.0, -0.5, -0.0, 0.0, 0.5, 2.0, 3.0, 6.0]
# In units in the last place of one, or of the value where that is larger: what the kernels are off
# by at most, and torch's own slopes in float64, which cancel for large arguments.
UNITS = {np.float32: 4, np.float64: 32}


def by_torch(layer, x):
    """Values and slopes, in float64."""
    z = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    values = layer(z)
    values.sum().backward()
    return values.detach().numpy(), z.grad.numpy()


def by_kernels(layer, x, variant):
    known = activation_of(layer)
    return core.activation(known.curve, known.numbers, x, variant)


def test_every_activation_of_the_table_is_held_here():
    assert {type(layer) for layer in LAYERS} == set(ACTIVATIONS)


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_values_and_slopes_are_those_of_torch(layer, type_):
    random = np.random.default_rng(0)
    tiny = np.exp2(random.uniform(-40, 2, 1000)) * random.choice([-1, 1], 1000)
    x = np.concatenate([KINKS, random.uniform(-30, 30, 2000), random.uniform(-3, 3, 2000), tiny])
    x = x.astype(type_)
    for variant in kernels.runnable():
        for name, got, true in zip(
            ("values", "slopes"), by_kernels(layer, x, variant), by_torch(layer, x), strict=True
        ):
            bound = UNITS[type_] * np.finfo(type_).eps * np.maximum(np.abs(true), 1)
            if isinstance(layer, nn.Hardsigmoid) and name == "slopes":
                bound += np.finfo(np.float32).eps  # torch's own sixth is one of float32
            assert got.dtype == type_
            assert (np.abs(got - true) <= bound).all(), (variant, name)


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_values_at_the_ends_are_those_of_torch(layer, type_):
    """Where torch has some: 0 times infinity, in GELU and others, is not a number there."""
    x = np.array([-math.inf, math.inf, math.nan], type_)
    expected = layer(torch.from_numpy(x)).numpy()
    known = ~np.isnan(expected)
    for variant in kernels.runnable():
        values = by_kernels(layer, x, variant)[0]
        np.testing.assert_allclose(values[known], expected[known], rtol=1e-6)
        assert np.isnan(values[2])


@pytest.mark.parametrize("type_", TYPES)
def test_a_number_has_the_same_value_wherever_it_stands(type_):
    x = np.linspace(-3, 3, 19, dtype=type_)
    for variant in kernels.runnable():
        whole = by_kernels(nn.Mish(), x, variant)
        for count in range(len(x)):
            for all_, some in zip(whole, by_kernels(nn.Mish(), x[:count], variant), strict=True):
                np.testing.assert_array_equal(some, all_[:count])
