"""A fused step by the C++ kernels against the for-loop, and what is left to torch's kernels."""

import functools
import math

import pytest
import torch
from torch import nn

import gradus
from gradus import kernels, methods
from gradus.optim.inplace import InPlaceUpdate, in_place_update_of

pytestmark = pytest.mark.skipif(
    kernels.core() is None or not hasattr(torch.Tensor, "__dlpack_c_exchange_api__"),
    reason="no kernels, or a torch that does not tell them where its tensors lie",
)

OPTIONS = {
    "SGD": {"lr": 0.1},
    "SGD-momentum": {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1},
    "SGD-nesterov": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True},
    "Adam": {"lr": 0.01, "weight_decay": 0.1},
    "Adam-amsgrad": {"lr": 0.01, "amsgrad": True, "maximize": True},
    "AdamW": {"lr": 0.01, "weight_decay": 0.1},
    "AdamW-amsgrad": {"lr": 0.01, "amsgrad": True},
    "Polyak": {"lr": 0.1, "beta": 0.8},
    "Polyak-maximize": {"lr": 0.1, "beta": 0.8, "maximize": True},
    "Nesterov": {"lr": 0.1, "beta": 0.8},
    "Nesterov-maximize": {"lr": 0.1, "beta": 0.8, "maximize": True},
    "RMSprop": {"lr": 0.01, "weight_decay": 0.1},
    "RMSprop-momentum": {"lr": 0.01, "momentum": 0.9, "alpha": 0.9, "maximize": True},
    "RMSprop-centered": {"lr": 0.01, "centered": True},
    "RMSprop-all": {"lr": 0.01, "centered": True, "momentum": 0.5, "alpha": 0.3},
    "Adagrad": {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1},
}
STEPS = 5
ULPS = 64
"""Roundings that differ in five steps where torch's fused kernels take them: about ten operations
each, on numbers of order 1."""


def made(name, params, **form):
    return getattr(gradus.optim, name.partition("-")[0])(params, **OPTIONS[name], **form)


def parameters(dtype, shapes, channels_last=False):
    random = torch.Generator().manual_seed(0)
    found = []
    for shape in shapes:
        values = torch.randn(shape, generator=random, dtype=torch.float64).to(dtype)
        if channels_last and len(shape) == 4:
            values = values.contiguous(memory_format=torch.channels_last)
        found.append(nn.Parameter(values))
    return found


def walk(optimizer, params, steps=STEPS):
    """Steps down f(w) = sum of cos(w), which is bounded whichever way it goes."""
    for _ in range(steps):
        optimizer.zero_grad()
        sum(p.cos().sum() for p in params).backward()
        optimizer.step()


@pytest.fixture(params=kernels.runnable(), autouse=True)
def _variant(request, monkeypatch):
    monkeypatch.setenv(kernels.VARIABLE, request.param)


@pytest.fixture
def taken(monkeypatch):
    """Whether the kernels took the step, call by call."""
    answers, apply = [], InPlaceUpdate.apply

    def watched(self, *args, **kwargs):
        answers.append(apply(self, *args, **kwargs))
        return answers[-1]

    monkeypatch.setattr(InPlaceUpdate, "apply", watched)
    return answers


SHAPES = [(1,), (3, 5), (), (64,), (0, 2), (129,), (2, 3, 3, 3), (1, 7, 1)]


@pytest.mark.parametrize("channels_last", [False, True], ids=["contiguous", "channels last"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", OPTIONS)
def test_the_kernels_walk_the_path_of_the_for_loop(name, dtype, channels_last, taken):
    ours, loop = (parameters(dtype, SHAPES, channels_last) for _ in range(2))
    fused = made(name, ours, fused=True)
    walk(fused, ours)
    assert taken == [True] * STEPS
    by_loop = made(name, loop, foreach=False)
    walk(by_loop, loop)
    same = {"rtol": 0, "atol": 0, "check_stride": True}
    torch.testing.assert_close(ours, loop, **same)
    kept, expected = fused.state_dict()["state"], by_loop.state_dict()["state"]
    assert kept.keys() == expected.keys()
    for index, state in kept.items():
        assert state.keys() == expected[index].keys()
        for key, tensor in state.items():
            torch.testing.assert_close(tensor, expected[index][key], **same)


OF_TORCH = {
    **{n: o for n, o in OPTIONS.items() if hasattr(torch.optim, n.partition("-")[0])},
    "Adam-nearer-end": {"lr": 0.01, "betas": (0.3, 0.9)},
    "Adam-no-memory": {"lr": 0.01, "betas": (0.0, 0.9), "eps": 1e-3},
    "Adagrad-begun": {"lr": 0.1, "initial_accumulator_value": 0.1, "maximize": True},
}


@functools.cache
def gradients(dtype, shapes, steps):
    """A table of them, some 0: for every step, and every parameter."""
    random = torch.Generator().manual_seed(1)
    drawn = [torch.randn(steps, *shape, generator=random, dtype=torch.float64) for shape in shapes]
    return list(zip(*(torch.where(g.abs() < 0.1, 0, g).to(dtype) for g in drawn), strict=True))


def moved(optimizer, dtype, shapes, steps, **options):
    """Parameters after steps along the table."""
    params = parameters(dtype, shapes)
    optimizer = optimizer(params, **options)
    for of_step in gradients(dtype, shapes, steps):
        for p, gradient in zip(params, of_step, strict=True):
            p.grad = gradient
        optimizer.step()
    return params


@functools.lru_cache(1)
def moved_by_torch(name, *given):
    """The same for every variant."""
    optimizer = getattr(torch.optim, name.partition("-")[0])
    return moved(optimizer, *given, foreach=True, **OF_TORCH[name])


@pytest.mark.parametrize(("entries", "steps"), [(100_000, 1), (101, 1000)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", OF_TORCH)
def test_no_entry_differs_from_foreach_of_torch(name, dtype, entries, steps):
    """After one step and after a thousand."""
    given = dtype, ((entries,), (3,)), steps
    theirs = moved_by_torch(name, *given)
    assert all(p.isfinite().all() for p in theirs)
    optimizer = getattr(gradus.optim, name.partition("-")[0])
    ours = moved(optimizer, *given, fused=True, **OF_TORCH[name])
    differing = sum(int((p != q).sum()) for p, q in zip(ours, theirs, strict=True))
    assert differing == 0


@pytest.mark.parametrize("name", ["Adam", "AdamW-amsgrad", "Adagrad"])
def test_with_the_roots_of_the_processor_only_roots_are_rounded_otherwise(name, monkeypatch):
    monkeypatch.setenv(kernels.ROOTS_VARIABLE, "processor")
    ours, loop = (parameters(torch.float64, SHAPES) for _ in range(2))
    walk(made(name, ours, fused=True), ours)
    # Where torch's root is the correctly rounded one, both are the same.
    monkeypatch.setattr(torch, "_foreach_sqrt", lambda tensors: list(map(_correct, tensors)))
    walk(made(name, loop, foreach=False), loop)
    torch.testing.assert_close(ours, loop, rtol=0, atol=0)


def _correct(tensor):
    roots = [math.sqrt(x) for x in tensor.flatten().tolist()]
    return torch.tensor(roots, dtype=tensor.dtype).reshape(tensor.shape)


def test_roots_of_another_name_are_refused(monkeypatch):
    monkeypatch.setenv(kernels.ROOTS_VARIABLE, "mine")
    with pytest.raises(gradus.InputError, match=r"GRADUS_ROOTS=mine: .* torch, processor"):
        in_place_update_of(methods.Adam())


@pytest.mark.parametrize("name", OPTIONS)
def test_the_number_of_threads_changes_no_bit(name):
    threads = torch.get_num_threads()
    shapes = ((150_003,), (7,), (131, 379))
    kind, options = getattr(gradus.optim, name.partition("-")[0]), OPTIONS[name]
    ends = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            ends.append(moved(kind, torch.float32, shapes, 2, fused=True, **options))
    finally:
        torch.set_num_threads(threads)
    for end in ends[1:]:
        assert all(map(torch.equal, end, ends[0]))


def strided(w):
    return torch.empty(*w.shape, 2, dtype=w.dtype)[..., 0].copy_(w)


UNTAKEN = {
    "bfloat16": lambda w: w.bfloat16(),
    "a gradient of another dtype": lambda w: w.double(),
    "gaps": strided,
    "other order": lambda w: w.t().contiguous().t(),
    "expanded": lambda w: w[:1].expand(4, 4),
    "other shape": lambda w: w[:2],
    "elsewhere": lambda w: w.to("meta"),
    "negated": lambda w: w._neg_view(),
    "nowhere": lambda w: torch._efficientzerotensor(w.shape),
    "of another type": lambda w: w.as_subclass(type("Own", (torch.Tensor,), {})),
}


@pytest.mark.parametrize("change", UNTAKEN.values(), ids=UNTAKEN)
def test_what_the_kernels_do_not_take_stays_as_it_is(change):
    update = in_place_update_of(methods.SGD(0.1, momentum=0.5))
    first, second = torch.ones(4, 4), torch.ones(4, 4)
    gradients = [torch.ones(4, 4), change(torch.ones(4, 4))]
    buffers = [torch.zeros(4, 4), torch.zeros(4, 4)]
    assert not update.apply([[first, second], gradients, buffers], 0.1)
    assert torch.equal(first, torch.ones(4, 4))
    assert not any(buffer.any() for buffer in buffers)
    assert first._version == 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.complex64, torch.float64], ids=str)
@pytest.mark.parametrize("name", OPTIONS)
def test_parameters_with_gaps_and_of_other_dtypes_move_all_the_same(name, dtype):
    def with_gaps():
        whole = torch.linspace(-1, 1, 24).reshape(4, 6).to(dtype)
        return [nn.Parameter(whole[:, ::2])]

    ours, loop = with_gaps(), with_gaps()
    for params, form in ((ours, {"fused": True}), (loop, {"foreach": False})):
        optimizer = made(name, params, **form)
        for step in range(3):
            for p in params:
                p.grad = (p.detach() * 0.5 + step).clone()
            optimizer.step()
    tolerance = 16 * torch.finfo(dtype).eps
    torch.testing.assert_close(ours, loop, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", OPTIONS)
def test_without_the_kernels_the_path_is_the_same(name, monkeypatch):
    ours = parameters(torch.float64, SHAPES)
    walk(made(name, ours, fused=True), ours)
    monkeypatch.setattr(kernels, "core", lambda: None)
    assert in_place_update_of(methods.SGD(0.1)) is None
    without = parameters(torch.float64, SHAPES)
    walk(made(name, without, fused=True), without)
    tolerance = ULPS * torch.finfo(torch.float64).eps
    torch.testing.assert_close(ours, without, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", OPTIONS)
def test_automatic_differentiation_is_told_that_parameters_have_moved(name):
    (p,) = params = parameters(torch.float32, [(4,)])
    optimizer = made(name, params, fused=True)
    walk(optimizer, params, steps=1)
    value = (p**2).sum()
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


@pytest.mark.parametrize("name", ["SGD-momentum", "Adam", "AdamW"])
def test_scaled_gradients_are_left_to_torch(name, taken):
    """An infinite gradient skips the step, also the first one, with dampening."""
    (p,) = params = parameters(torch.float32, [(4,)])
    (q,) = others = parameters(torch.float32, [(4,)])
    optimizer, plain = made(name, params, fused=True), made(name, others, foreach=False)
    for scaled, gradient in ((True, torch.inf), (True, 2.0), (False, 3.0)):
        p.grad = torch.full((4,), 8 * gradient if scaled else gradient)
        if scaled:
            optimizer.grad_scale = torch.tensor(8.0)
            optimizer.found_inf = torch.tensor(float(gradient == torch.inf))
        optimizer.step()
        if scaled:
            del optimizer.grad_scale, optimizer.found_inf
        if gradient < torch.inf:
            q.grad = torch.full((4,), gradient)
            plain.step()
    tolerance = ULPS * torch.finfo(torch.float32).eps
    torch.testing.assert_close(p, q, rtol=tolerance, atol=tolerance)
    assert taken == [True]


def test_a_form_chosen_later_is_heeded(taken):
    params = parameters(torch.float32, [(4,)])
    optimizer = made("Polyak", params, foreach=True)
    for form, steps in (("foreach", 0), ("fused", 1), ("foreach", 1), ("fused", 2)):
        optimizer.param_groups[0].update({"foreach": None, "fused": None} | {form: True})
        walk(optimizer, params, steps=1)
        assert taken == [True] * steps


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("kind", [torch.Tensor._neg_view, None], ids=["negated", "nowhere"])
@pytest.mark.parametrize("name", OPTIONS)
def test_gradients_that_are_not_written_out_move_as_their_values(name, kind, size):
    ours, loop = (parameters(torch.float32, [(size,)]) for _ in range(2))
    for params, form in ((ours, {"fused": True}), (loop, {"foreach": False})):
        optimizer = made(name, params, **form)
        zeros = torch._efficientzerotensor(size)
        params[0].grad = zeros if kind is None else kind(torch.ones(size))
        optimizer.step()
    tolerance = ULPS * torch.finfo(torch.float32).eps
    torch.testing.assert_close(ours, loop, rtol=tolerance, atol=tolerance)


def test_a_variant_that_is_chosen_later_is_followed(monkeypatch):
    variant, chosen = kernels.variant(), in_place_update_of(methods.SGD(0.1))
    monkeypatch.delenv(kernels.VARIABLE)
    assert (in_place_update_of(methods.SGD(0.1)) is chosen) == (variant == kernels.variant())


def test_parameters_that_share_memory_move_the_same_with_any_number_of_threads():
    threads, ends = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            whole = torch.linspace(-1, 1, 300_000)
            params = [nn.Parameter(whole[:200_000]), nn.Parameter(whole[100_000:])]
            optimizer = made("SGD-momentum", params, fused=True)
            for p in params:
                p.grad = torch.linspace(0, 1, 200_000)
            optimizer.step()
            ends.append(whole)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*ends)
