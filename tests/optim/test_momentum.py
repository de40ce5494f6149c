"""Polyak and Nesterov as optimizers: the path of the equations that gradus.minimize runs."""

import io

import pytest
import torch

import gradus

FORMS = {
    "loop": {"foreach": False},
    "foreach": {"foreach": True},
    "default": {},
    "fused": {"fused": True},
    "differentiable": {"differentiable": True},
}
NAMES = ("Polyak", "Nesterov")
STEPS = 12
over_forms = pytest.mark.parametrize("form", FORMS)
over_methods = pytest.mark.parametrize("name", NAMES)

# The same operations on one flat vector and on a list of tensors: a flat one rounds products that
# torch fuses with a sum, a few units in the last place of numbers of order 1.
TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}


def risk():
    """A regression with a bias: two parameters that a vector holds one after the other."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(20, 3, generator=random, dtype=torch.float64)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5]], dtype=torch.float64) + 0.3
    model = torch.nn.Linear(3, 1).double()
    return gradus.EmpiricalRisk(model, gradus.MSELoss(), (x, y)), x, y


def start():
    return [torch.ones(1, 3, dtype=torch.float64), torch.ones(1, dtype=torch.float64)]


def gradients(params, x, y):
    here = [p.detach().clone().requires_grad_() for p in params]
    loss = torch.nn.functional.mse_loss(torch.nn.functional.linear(x, *here), y)
    return torch.autograd.grad(loss, here)


def trained(name, **options):
    """The iterates w_t and the points at which the parameters stood."""
    _, x, y = risk()
    params = start()
    optimizer = getattr(gradus.optim, name)(params, lr=0.1, beta=0.8, **options)
    iterates, stood = [], []

    def note():
        stood.append(torch.cat([p.detach().flatten() for p in params]))
        if name == "Nesterov":
            with optimizer.at_iterate():
                iterates.append(torch.cat([p.detach().flatten() for p in params]))
        else:
            iterates.append(stood[-1])

    note()
    for _ in range(STEPS):
        for p, g in zip(params, gradients(params, x, y), strict=True):
            p.grad = g
        optimizer.step()
        note()
    return torch.stack(iterates), torch.stack(stood)


@over_forms
@over_methods
def test_the_iterates_are_those_of_the_equation(name, form):
    f, _, _ = risk()
    method = getattr(gradus.methods, name)(lr=0.1, beta=0.8)
    path = gradus.minimize(f, torch.ones(4, dtype=torch.float64), method, steps=STEPS)
    iterates, _ = trained(name, **FORMS[form])
    torch.testing.assert_close(iterates, path.points, **TOLERANCE)


@over_forms
def test_the_parameters_stand_where_nesterov_takes_the_next_gradient(form):
    """At y_t = w_t + beta (w_t - w_{t-1}), with w_{-1} = w_0."""
    w, y = trained("Nesterov", **FORMS[form])
    before = torch.cat([w[:1], w[:-1]])
    torch.testing.assert_close(y, w + 0.8 * (w - before), **TOLERANCE)
    assert (y[2:] - w[2:]).abs().max() > 1e-3


@over_forms
def test_polyak_is_sgd_with_momentum_while_the_rate_is_constant(form):
    w, _ = trained("Polyak", **FORMS[form])
    _, x, y = risk()
    params = start()
    optimizer = torch.optim.SGD(params, lr=0.1, momentum=0.8)
    for t in range(STEPS):
        for p, g in zip(params, gradients(params, x, y), strict=True):
            p.grad = g
        optimizer.step()
        at = torch.cat([p.flatten() for p in params])
        torch.testing.assert_close(w[t + 1], at, **TOLERANCE)


def test_polyak_carries_the_last_step_on_where_the_rate_changes():
    """SGD carries the gradients on: after a rate of 0 it still moves by its buffer, this by none.

    On a slope of 1: w_1 = -a_0, then with a_1 = 0 the step is beta times the step before, both
    ways; then with a_2 the heavy ball adds beta^2 a_0, SGD a_2 (1 + beta + beta^2).
    """
    beta, rates, ends = 0.5, (1.0, 0.0, 1.0), []
    for make in (
        lambda p: gradus.optim.Polyak(p, beta=beta),
        lambda p: torch.optim.SGD(p, momentum=beta),
    ):
        w = torch.zeros(1)
        optimizer = make([w])
        for rate in rates:
            optimizer.param_groups[0]["lr"] = rate
            w.grad = torch.ones(1)
            optimizer.step()
        ends.append(w.item())
    polyak = -1.0 - beta - (1.0 + beta**2)
    sgd = -1.0 - (1.0 + beta + beta**2)
    assert ends == [polyak, sgd]


def test_at_iterate_returns_to_the_query_even_after_an_error():
    w = torch.nn.Parameter(torch.tensor([8.0]))
    optimizer = gradus.optim.Nesterov([w], lr=0.25, beta=0.5)
    with optimizer.at_iterate():
        assert w.item() == 8.0
    for _ in range(2):
        w.grad = 2 * w.detach()
        optimizer.step()
    stood = w.item()

    def fail():
        with optimizer.at_iterate():
            assert w.item() == 1.0
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert w.item() == stood != 1.0


# Nesterov's parameters are the user's between steps.


def quadratic_step(p, optimizer):
    p.grad = (2 * p).detach()
    optimizer.step()


def begun(form, start, steps=3):
    p = torch.tensor(start).clone()
    optimizer = gradus.optim.Nesterov([p], lr=0.1, beta=0.9, **FORMS[form])
    for _ in range(steps):
        quadratic_step(p, optimizer)
    return p, optimizer


def load(p, values):
    """As load_state_dict of a model does."""
    model = torch.nn.Module()
    model.p = torch.nn.Parameter(p.detach())
    model.load_state_dict({"p": values})


def write(p, values):
    with torch.no_grad():
        p.copy_(values)


def replace(p, values):
    """As vector_to_parameters does."""
    p.data = values.clone()


@over_forms
@pytest.mark.parametrize("edit", [load, write, replace])
def test_nesterov_starts_anew_from_parameters_that_were_changed(edit, form):
    p, optimizer = begun(form, [8.0, -3.0])
    values = torch.tensor([5.0, 7.0])
    edit(p, values)
    with optimizer.at_iterate():
        assert torch.equal(p, values)
    fresh, other = begun(form, [5.0, 7.0], steps=0)
    for _ in range(3):
        quadratic_step(p, optimizer)
        quadratic_step(fresh, other)
    assert torch.equal(p, fresh)


def test_weights_that_have_become_nan_can_be_replaced():
    p, optimizer = begun("default", [8.0])
    p.grad = torch.tensor([torch.nan])
    optimizer.step()
    write(p, torch.tensor([1.0]))
    quadratic_step(p, optimizer)
    assert p.isfinite().all()


@over_forms
def test_only_the_entries_that_a_clamp_moves_start_anew(form):
    """The others go on to the bit."""
    (p, optimizer), (q, other) = (begun(form, [8.0, 0.1], steps=2) for _ in range(2))
    wall = p[0].item() / 2
    assert 0 < p[1] < wall
    with torch.no_grad():
        p.clamp_(max=wall)
    alone, fresh = begun(form, [wall], steps=0)
    for _ in range(3):
        quadratic_step(q, other)
        quadratic_step(p, optimizer)
        quadratic_step(alone, fresh)
    assert p[1] == q[1]
    assert p[0] == alone[0]


@over_forms
@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64], ids=str
)
def test_what_is_written_without_a_change_changes_nothing(dtype, form):
    """In every precision: what the step has rounded is no change of the user."""
    paths = []
    for writes in (False, True):
        random = torch.Generator().manual_seed(0)
        p = torch.randn(1003, generator=random, dtype=torch.float64).to(dtype)
        optimizer = gradus.optim.Nesterov([p], lr=0.1, beta=0.9, **FORMS[form])
        for step in range(STEPS):
            p.grad = torch.randn(p.shape, generator=random, dtype=torch.float64).to(dtype)
            optimizer.step()
            optimizer.param_groups[0]["beta"] = 0.9 - 0.01 * step
            if writes:
                with torch.no_grad():
                    p.mul_(1)
                with optimizer.at_iterate():
                    pass
        paths.append(p.detach())
    assert torch.equal(*paths)


def test_what_is_changed_at_the_iterate_stays():
    p, optimizer = begun("default", [8.0, 0.1])
    q, other = begun("default", [8.0, 0.1])
    with optimizer.at_iterate(), torch.no_grad():
        p[0] = 5.0
    assert p[0] == 5.0
    assert p[1] == q[1]
    quadratic_step(p, optimizer)
    quadratic_step(q, other)
    fresh, _ = begun("default", [5.0], steps=1)
    assert p[0] == fresh[0]
    assert p[1] == q[1]


def test_a_step_at_the_iterate_is_refused():
    """The gradient belongs where the parameters stand outside of it."""
    p, optimizer = begun("default", [8.0])
    stood = p.clone()
    with optimizer.at_iterate():
        with optimizer.at_iterate():
            pass
        w = p.clone()
        with pytest.raises(RuntimeError, match=r"^step\(\) within at_iterate\(\).*$"):
            quadratic_step(p, optimizer)
        assert torch.equal(p, w)
    assert torch.equal(p, stood)
    quadratic_step(p, optimizer)


@pytest.mark.parametrize("model_first", [True, False])
def test_a_model_and_its_nesterov_continue_from_files_whichever_is_loaded_first(model_first):
    p, optimizer = begun("default", [8.0, -3.0])
    file = io.BytesIO()
    torch.save({"p": p, "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file)
    later, continued = begun("default", [1.0, 1.0])
    if model_first:
        load(later, saved["p"])
    continued.load_state_dict(saved["optimizer"])
    if not model_first:
        load(later, saved["p"])
    for _ in range(3):
        quadratic_step(p, optimizer)
        quadratic_step(later, continued)
    assert torch.equal(p, later)


def test_a_state_that_was_cleared_begins_where_the_parameters_stand():
    p, optimizer = begun("default", [8.0])
    optimizer.state.clear()
    write(p, torch.tensor([5.0]))
    quadratic_step(p, optimizer)
    fresh, _ = begun("default", [5.0], steps=1)
    assert torch.equal(p, fresh)


@over_forms
@over_methods
def test_their_checkpoints_hold_all_that_the_path_depends_on(name, form):
    def steps(params, optimizer, seed):
        random = torch.Generator().manual_seed(seed)
        for _ in range(3):
            for p in params:
                p.grad = torch.randn(p.shape, generator=random) + p.detach()
            optimizer.step()

    make = getattr(gradus.optim, name)
    params = [torch.ones(3), torch.ones(2, 2)]
    optimizer = make(params, lr=0.1, beta=0.8, **FORMS[form])
    steps(params, optimizer, 1)
    later = [p.detach().clone() for p in params]
    state = {
        at: {key: value.detach().clone() for key, value in held.items()}
        for at, held in optimizer.state_dict()["state"].items()
    }
    continued = make(later)
    continued.load_state_dict({**optimizer.state_dict(), "state": state})
    steps(params, optimizer, 2)
    steps(later, continued, 2)
    assert all(map(torch.equal, params, later))
