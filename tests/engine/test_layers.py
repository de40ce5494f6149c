"""Networks of more than dense layers: both engines the same, in training and where judged."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from gradus import kernels
from gradus.data.sampling import Sampling
from gradus.engine import choose, dropping, eager, native
from gradus.engine.layers import network_of
from gradus.engine.selection import Selection
from gradus.methods import SGD, AdamW, GradientDescent, Nesterov
from gradus.penalties import L2
from tests.engine.jobs import CLASSES, FEATURES, N, close, data, fresh, job, where

pytestmark = pytest.mark.skipif(kernels.core() is None, reason=str(kernels.absence()))

WIDE = 19


def linear(before=FEATURES, after=CLASSES, **options):
    return partial(nn.Linear, before, after, **options)


class Blocks(nn.Module):
    """Two residual blocks with a norm before and dropout within, and a way past both."""

    def __init__(self):
        super().__init__()
        self.first, self.past = nn.Linear(FEATURES, WIDE), nn.Linear(FEATURES, CLASSES)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDE) for _ in range(2))
        self.inner = nn.ModuleList(nn.Linear(WIDE, WIDE) for _ in range(2))
        self.drop, self.last = nn.Dropout(0.1), nn.Linear(WIDE, CLASSES)

    def forward(self, x):
        h = self.first(x)
        for norm, inner in zip(self.norms, self.inner, strict=True):
            h = h + self.drop(inner(torch.relu(norm(h))))
        return self.last(h) + nn.functional.dropout(self.past(x), 0.2, self.training)


MODELS = {
    "dropout": (linear(4, WIDE), nn.ReLU, partial(nn.Dropout, 0.3), linear(WIDE)),
    "dropout first, and before what follows": (
        partial(nn.Dropout, 0.2), linear(4, WIDE), nn.Dropout, nn.GELU, linear(WIDE),
    ),
    "dropout of nothing and of all": (
        partial(nn.Dropout, 0.0), linear(4, WIDE), partial(nn.Dropout, 1.0), linear(WIDE),
    ),
    "layer norms": (
        partial(nn.LayerNorm, 4, elementwise_affine=False), linear(4, WIDE),
        partial(nn.LayerNorm, WIDE, 1e-3), nn.SiLU, linear(WIDE),
    ),
    "batch norms": (
        partial(nn.BatchNorm1d, 4, affine=False, momentum=None), linear(4, WIDE, bias=False),
        partial(nn.BatchNorm1d, WIDE, 1e-3, 0.3), nn.Tanh, linear(WIDE),
    ),
    "slopes": (
        nn.PReLU, linear(4, WIDE), partial(nn.PReLU, WIDE, 0.5), nn.Tanh, linear(WIDE), nn.PReLU,
    ),
    "activations alone": (nn.ELU, linear(4, WIDE), nn.ReLU, nn.Tanh, nn.Identity, linear(WIDE)),
    "log-softmax after a norm": (
        linear(), partial(nn.LayerNorm, CLASSES, bias=False), partial(nn.LogSoftmax, dim=1),
    ),
    "blocks": (Blocks,),
}  # fmt: skip


def both(name, **changes):
    """What each engine leaves, and the job that it ran."""
    found = []
    for execute in (eager.execute, native.execute):
        given = job(model=fresh(*MODELS[name]), **changes)
        assert choose.chosen("auto", given) == ("native", None)
        found.append((execute(given), given.model))
    return found


@pytest.mark.parametrize("method", [SGD(0.1, 0.5), Nesterov(0.05, 0.8)])
@pytest.mark.parametrize("name", MODELS)
def test_both_engines_leave_the_same(name, method):
    """Rows at the iterate, parameters, running statistics, and what they are worth."""
    (expected, theirs), (found, ours) = both(name, method=method, penalty=L2(0.01))
    close([row.loss for row in found.history], [row.loss for row in expected.history])
    close(where(ours), where(theirs))
    for mine, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        close(mine, other)
    for mine, other in zip(found.evaluation, expected.evaluation, strict=True):
        close(mine.test_loss, other.test_loss)
        close(mine.train_loss, other.train_loss)


@pytest.mark.parametrize("name", ["batch norms", "blocks"])
def test_running_statistics_are_those_of_the_epoch_that_is_kept(name):
    selection = Selection("validation_loss", "best")
    changes = {"method": SGD(2.0, 0.9), "validation": data(n=9, seed=5), "selection": selection}
    (expected, theirs), (found, ours) = both(name, **changes)
    assert found.kept_epoch == expected.kept_epoch
    for mine, other in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-8, atol=1e-8)
    close(found.tested.loss, expected.tested.loss)


@pytest.mark.parametrize("frozen", ["1.weight", "1.bias", "0", "1"])
@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.BatchNorm1d])
def test_what_is_frozen_in_a_norm_stays(norm, frozen):
    found = []
    for execute in (eager.execute, native.execute):
        model = fresh(linear(4, WIDE), partial(norm, WIDE), nn.ReLU, linear(WIDE))
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(not name.startswith(frozen))
        before = {k: v.clone() for k, v in model.named_parameters() if k.startswith(frozen)}
        execute(job(model=model, method=AdamW(0.01, eps=1e-4, weight_decay=0.1)))
        assert all(torch.equal(model.get_parameter(k), v) for k, v in before.items())
        found.append(where(model))
    close(*found)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sampling": "full", "chunk_size": 18}, "on more than 18 examples at once"),
        ({"sampling": Sampling("shuffle", N, N - 1)}, "on a batch of one example"),
    ],
)
def test_batches_that_a_batch_norm_does_not_take_are_named(changes, said):
    given = job(model=fresh(linear(), partial(nn.BatchNorm1d, CLASSES)), **changes)
    engine, why = choose.chosen("auto", given)
    assert engine == "eager"
    assert why == f"the native engine does not run layer 1 (BatchNorm1d) {said}"


def drawn(step=0, layer=0, row=0, shape=(32, 40), share=0.3, seed=0, dtype=np.float64):
    to = np.full(shape, np.nan, dtype)
    dropping.scales(dropping.key_of(seed), step, layer, share, row, to)
    return to


class TestDrawing:
    def test_the_generator_is_philox(self):
        """By the known answers of its authors' Random123 (kat_vectors)."""
        known = {
            (0, (0, 0, 0, 0)): "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
            (2**64 - 1, (2**32 - 1,) * 4): "408f276d 41c83b0e a20bc7c6 6d5451fd",
            (0x299F31D0A4093822, (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)): (
                "d16cfe09 94fdcceb 5001e420 24126ea1"
            ),
        }
        for (key, counter), answer in known.items():
            words = dropping.philox(key, np.array(counter, np.uint64)[:, None])[:, 0]
            assert " ".join(f"{word:08x}" for word in words) == answer

    @pytest.mark.parametrize("variant", kernels.runnable() if kernels.core() else [])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_the_kernels_draw_what_numpy_draws(self, variant, dtype, monkeypatch):
        for shape, share in (((32, 40), 0.3), ((3, 1), 0.5), ((17, 9), 0.0), ((5, 5), 1.0)):
            choice = {"step": 7, "layer": 2, "row": 5, "shape": shape, "share": share}
            monkeypatch.setenv("GRADUS_KERNELS", variant)
            ours = drawn(**choice, dtype=dtype)
            with monkeypatch.context() as without:
                without.setattr(kernels, "absence", lambda: "no compiler")
                assert np.array_equal(ours, drawn(**choice, dtype=dtype))

    def test_units_are_dropped_as_often_as_asked_and_keep_the_mean(self):
        found = drawn(shape=(400, 500), share=0.3)
        assert set(np.unique(found)) == {0.0, 1 / 0.7}
        # Five standard deviations of a mean of 200,000 draws.
        assert abs((found > 0).mean() - 0.7) < 5 * (0.3 * 0.7 / found.size) ** 0.5

    @pytest.mark.parametrize("other", [{"step": 1}, {"layer": 1}, {"seed": 1}, {"row": 1}])
    def test_draws_go_with_the_step_the_layer_the_seed_and_the_example(self, other):
        here, there = drawn() > 0, drawn(**other) > 0
        if "row" in other:
            assert np.array_equal(here[1:], there[:-1])
        # Two independent draws agree in 0.58 of 1,280 units, with a deviation of 0.014.
        assert 0.5 < (here == there).mean() < 0.66

    def test_a_batch_that_comes_in_chunks_drops_the_same_units(self):
        changes = {"sampling": "full", "method": GradientDescent(0.1)}
        (whole, there), _ = both("blocks", **changes)
        given = job(model=fresh(*MODELS["blocks"]), chunk_size=7, **changes)
        close([row.loss for row in eager.execute(given).history], [r.loss for r in whole.history])
        close(where(given.model), where(there))
        assert not given.model._forward_pre_hooks

    def test_other_models_than_those_of_known_layers_draw_so_too(self):
        layers = partial(nn.Unflatten, 1, (1, 4)), partial(nn.Conv1d, 1, 5, 2), nn.Dropout
        tail = nn.Flatten, linear(15)
        found = []
        for before in (0, 99):
            torch.manual_seed(before)
            given = job(model=fresh(*layers, *tail))
            found.append([row.loss for row in eager.execute(given).history])
        assert found[0] == found[1]


def test_the_layers_of_blocks():
    network = network_of(Blocks())
    kinds = [layer.kind for layer in network.layers]
    block = ["layer-norm", "dense", "drop", "sum"]
    assert kinds == ["dense", *block, *block, "dense", "dense", "drop", "sum"]
    sums = [{each.reads, each.also} for each in network.layers if each.kind == "sum"]
    assert sums == [{1, 4}, {5, 8}, {10, 12}]
