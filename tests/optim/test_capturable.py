"""capturable=True: a step that never waits for its device, so that a CUDA graph can hold it.

A number cannot be read from the "meta" device at all, so that a step taken there has read none.
"""

import types

import pytest
import torch

import gradus

OPTIONS = {
    "Adam": [{}, {"amsgrad": True, "weight_decay": 0.1, "maximize": True}],
    "AdamW": [{}, {"amsgrad": True, "weight_decay": 0.1, "maximize": True}],
    "RMSprop": [{}, {"momentum": 0.9, "centered": True, "weight_decay": 0.1, "maximize": True}],
}
FORMS = {
    "loop": {"foreach": False},
    "foreach": {"foreach": True},
    "default": {},
    "fused": {"fused": True},
}
CASES = [
    (name, form, options) for name, every in OPTIONS.items() for form in FORMS for options in every
]
over_cases = pytest.mark.parametrize(("name", "form", "options"), CASES, ids=str)
STEPS = 4

# The corrections of bias are float32 numbers made on the device: a few roundings of float32 a
# step, on numbers of order 1, whatever the dtype of the parameters.
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


def made(name, device, **options):
    random = torch.Generator().manual_seed(0)
    params = [torch.randn(shape, generator=random).to(device) for shape in ((4, 5), (17,), ())]
    return getattr(gradus.optim, name)(params, lr=0.1, **options), params


def drive(optimizer, params, *, steps=STEPS, seed=1):
    random = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        for p in params:
            p.grad = torch.randn(p.shape, generator=random).to(p.device)
        optimizer.step()
    return params


@over_cases
def test_a_step_reads_no_number_from_the_device(name, form, options):
    if (name, form) == ("RMSprop", "fused"):
        pytest.skip("RMSprop has no kernel: refused outside of the CPU, as the next test says")
    optimizer, params = made(name, "meta", **options, **FORMS[form], capturable=True)
    drive(optimizer, params)
    assert {state["step"].device.type for state in optimizer.state.values()} == {"meta"}


def test_what_has_no_kernel_is_refused_where_there_is_no_other_single_pass():
    optimizer, params = made("RMSprop", "meta", fused=True, capturable=True)
    with pytest.raises(RuntimeError, match=r"RMSprop has no fused kernel on meta.*foreach=True"):
        drive(optimizer, params)


@pytest.mark.parametrize("name", OPTIONS)
def test_without_it_a_step_does_read_one(name):
    """So that the test above could fail."""
    optimizer, params = made(name, "meta", foreach=False)
    optimizer.step()
    for p in params:
        optimizer.state[p]["step"] = torch.zeros((), device="meta")
    with pytest.raises(RuntimeError, match=r"meta"):
        drive(optimizer, params, steps=1)


@pytest.mark.parametrize("form", ["loop", "foreach", "default"])
@pytest.mark.parametrize("name", OPTIONS)
def test_a_rate_that_is_a_tensor_stays_on_the_device(name, form):
    """Its value is read where it is given, and never again."""
    optimizer, params = made(name, "meta", **FORMS[form], capturable=True)
    optimizer.param_groups[0]["lr"] = torch.ones((), device="meta")
    drive(optimizer, params)


@pytest.mark.parametrize("form", ["loop", "foreach", "default"])
@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_betas_that_are_tensors_stay_on_the_device(name, form):
    optimizer, params = made(name, "meta", **FORMS[form], capturable=True)
    optimizer.param_groups[0]["betas"] = (torch.ones((), device="meta"),) * 2
    drive(optimizer, params)


@over_cases
def test_it_moves_as_the_plain_form_does(name, form, options):
    plain, expected = made(name, "cpu", **options, foreach=False)
    optimizer, params = made(name, "cpu", **options, **FORMS[form], capturable=True)
    torch.testing.assert_close(drive(optimizer, params), drive(plain, expected), **TOLERANCE)
    assert [state["step"].item() for state in optimizer.state.values()] == [STEPS] * len(params)


@pytest.mark.parametrize("name", OPTIONS)
def test_it_can_be_switched_on_across_a_checkpoint(name):
    plain, params = made(name, "cpu")
    drive(plain, params)
    state = plain.state_dict()
    state["param_groups"][0]["capturable"] = True
    continued, later = made(name, "cpu")
    with torch.no_grad():
        for p, value in zip(later, params, strict=True):
            p.copy_(value)
    continued.load_state_dict(
        {
            **state,
            "state": {
                k: {n: t.clone() for n, t in held.items()} for k, held in state["state"].items()
            },
        }
    )
    assert continued.param_groups[0]["capturable"] is True
    drive(plain, params, seed=2)
    torch.testing.assert_close(drive(continued, later, seed=2), params, **TOLERANCE)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_tensor_put_where_an_equal_number_stood_is_read_by_the_graph(name):
    """And not the number, which a graph would hold for good."""
    optimizer, params = made(name, "cpu", capturable=True)
    drive(optimizer, params, steps=1)
    optimizer.param_groups[0]["lr"] = torch.tensor(0.1, dtype=torch.float64)
    drive(optimizer, params, steps=1)
    assert optimizer._resolved[0].equation.method.lr.dtype == torch.float64


@pytest.mark.parametrize("is_loaded", [False, True])
@pytest.mark.parametrize("name", OPTIONS)
def test_counts_of_steps_that_began_on_the_host_move_beside_the_parameters(name, is_loaded):
    optimizer, params = made(name, "meta", foreach=False)
    for p in params:
        optimizer.state[p]["step"] = torch.zeros(())
    if is_loaded:
        optimizer.load_state_dict(optimizer.state_dict())
    else:
        optimizer.step()
    optimizer.param_groups[0]["capturable"] = True
    drive(optimizer, params)
    assert {state["step"].device.type for state in optimizer.state.values()} == {"meta"}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_capture_without_it_is_refused(name, monkeypatch):
    """As in torch; here a stream that is capturing is feigned."""
    cuda = types.SimpleNamespace(type="cuda")
    stream = types.SimpleNamespace(is_capturing=lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: cuda)
    monkeypatch.setattr(torch.accelerator, "current_stream", lambda *_: stream)
    optimizer, params = made(name, "cpu")
    stood = [p.clone() for p in params]
    with pytest.raises(RuntimeError, match=f"graph capture .* {name} .*capturable is False"):
        drive(optimizer, params, steps=1)
    assert all(map(torch.equal, params, stood))
    drive(*made(name, "cpu", capturable=True))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="a CUDA graph needs a CUDA device")
@over_cases
def test_a_cuda_graph_replays_the_step(name, form, options):
    if (name, form) == ("RMSprop", "fused"):
        pytest.skip("RMSprop has no kernel on CUDA")
    plain, expected = made(name, "cuda", **options, foreach=False)
    optimizer, params = made(name, "cuda", **options, **FORMS[form], capturable=True)
    for p in params + expected:
        p.grad = torch.ones_like(p)
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            optimizer.step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        optimizer.step()
    for _ in range(2):
        graph.replay()
    for _ in range(5):
        plain.step()
    torch.testing.assert_close(params, expected, **TOLERANCE)
