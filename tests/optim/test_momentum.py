"""Polyak and Nesterov as optimizers: the path of the equations that gradus.minimize runs."""

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
