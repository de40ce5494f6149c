"""Products in bfloat16 by the kernels: of rounded factors, added up in float32.

The reference rounds the same factors by torch and multiplies them in float64.
"""

import copy
import dataclasses

import pytest
import torch
from torch import nn

import gradus
from gradus import kernels, methods
from gradus.data.sampling import Sampling
from gradus.engine import native
from gradus.engine.clipping import Clip
from tests.kernels.test_network import SIZES, job, where

pytestmark = pytest.mark.skipif(
    kernels.core() is None or not kernels.multiplies_bfloat16(),
    reason="this processor, or these kernels, multiply no numbers of bfloat16",
)


def rounded(numbers):
    return numbers.bfloat16().double()


class Product(torch.autograd.Function):
    """A linear layer of rounded factors, and so are those of its gradients."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)
        ctx.has_bias = bias is not None
        return nn.functional.linear(rounded(x), rounded(weight), bias)

    @staticmethod
    def backward(ctx, g):
        x, weight = map(rounded, ctx.saved_tensors)
        g = rounded(g)
        return g @ weight, g.T @ x, g.sum(0) if ctx.has_bias else None


def outputs(model, x):
    for layer in model:
        is_linear = isinstance(layer, nn.Linear)
        x = Product.apply(x, layer.weight, layer.bias) if is_linear else layer(x)
    return x


def in_bfloat16(size, **changes):
    given = job(size, methods.SGD(1.0), dtype=torch.float32)
    given.model.float()
    return dataclasses.replace(given, precision="bf16", epochs=1, **changes)


@pytest.mark.parametrize("size", SIZES)
def test_a_step_is_that_of_rounded_factors(size):
    """Of one layer to the rounding of sums; behind others a factor may round to its neighbour."""
    given = in_bfloat16(size)
    given = dataclasses.replace(given, sampling=Sampling("full", len(given.train)))
    model = copy.deepcopy(given.model).double()
    x, y = given.train.to(dtype=torch.float32).batch()
    loss = gradus.CrossEntropyLoss()(outputs(model, x.double()), y)
    slopes = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])
    start = where(given.model)
    outcome = native.execute(given)
    assert outcome.history[0].loss == pytest.approx(loss.item(), rel=1e-4)
    apart = (start - slopes - where(given.model)).abs().max() / slopes.abs().max()
    assert apart < (5e-5 if size == "one wide layer" else 5e-3)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("clip", [None, Clip(0.05)])
def test_any_number_of_threads_gives_the_same_to_the_bit(size, clip, monkeypatch):
    ends = []
    for threads in range(1, SIZES[size][3] + 1):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        given = in_bfloat16(size, clip=clip)
        outcome = native.execute(given)
        ends.append((outcome.history, where(given.model).tolist()))
    assert all(end == ends[0] for end in ends)


def test_a_batch_that_is_in_memory_at_once_is_added_up_in_pieces(monkeypatch):
    """Of a batch norm, whose gradient is that of float32 but for the rounding of factors."""
    start = job("segments", methods.SGD(0.1), dtype=torch.float32)
    layers = [nn.Linear(19, 33), nn.BatchNorm1d(33), nn.Tanh(), nn.Linear(33, 5)]
    ends = {}
    for precision, threads in (("float32", 1), ("bf16", 1), ("bf16", 2)):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        model = copy.deepcopy(nn.Sequential(*layers))
        native.execute(dataclasses.replace(start, model=model, precision=precision, epochs=1))
        ends[precision, threads] = where(model)
    assert torch.equal(ends["bf16", 1], ends["bf16", 2])
    begun = where(nn.Sequential(*layers))
    exact, near = ends["float32", 1] - begun, ends["bf16", 1] - begun
    assert 0 < (exact - near).norm() < 0.02 * exact.norm()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("frozen", ["", "0.bias", "0.weight"])
def test_weights_that_the_update_rounds_are_those_that_are_there(size, frozen):
    """Two epochs in one go end where the second ends that begins with what the first left."""

    def trained(given):
        for name, parameter in given.model.named_parameters():
            parameter.requires_grad_(name != frozen)
        native.execute(given)
        return where(given.model)

    given = in_bfloat16(size)
    given = dataclasses.replace(given, sampling=Sampling("full", len(given.train)))
    both = dataclasses.replace(given, model=copy.deepcopy(given.model), epochs=2)
    trained(given)
    assert torch.equal(trained(both), trained(given))


def test_what_is_evaluated_is_float32():
    given = in_bfloat16("ragged")
    outcome = native.execute(given)
    x, y = given.test.to(dtype=torch.float32).batch()
    with torch.no_grad():
        expected = nn.functional.cross_entropy(given.model.float()(x), y).item()
    assert outcome.evaluation[-1].test_loss == pytest.approx(expected, rel=1e-6)


def test_other_kernels_leave_it_to_the_eager_engine(monkeypatch):
    monkeypatch.setenv("GRADUS_KERNELS", "portable")
    said = native.obstacle(in_bfloat16("small"))
    assert said == "the native kernels for portable take no products in bfloat16"
