"""differentiable=True: the parameters after some steps, as a function of where and how they began.

Its derivatives are held against central differences (torch.autograd.gradcheck, in float64), with
respect to the start and to every option given as a tensor.
"""

import pytest
import torch

import gradus

STEPS = 3

# Options by name, each with the value at which it is differentiated.
OPTIONS = {
    "SGD": {"lr": 0.1, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.2},
    "Adam": {"lr": 0.1, "betas": (0.8, 0.9), "eps": 0.1, "weight_decay": 0.2},
    "AdamW": {"lr": 0.1, "betas": (0.8, 0.9), "eps": 0.1, "weight_decay": 0.2},
    "RMSprop": {"lr": 0.1, "alpha": 0.8, "eps": 0.1, "weight_decay": 0.2, "momentum": 0.8},
    "Adagrad": {"lr": 0.1, "lr_decay": 0.2, "weight_decay": 0.2, "eps": 0.1},
    "Polyak": {"lr": 0.1, "beta": 0.8},
    "Nesterov": {"lr": 0.1, "beta": 0.8},
}
FLAGS = {
    "SGD": [{}, {"nesterov": True}, {"maximize": True}],
    "Adam": [{}, {"maximize": True}],
    "AdamW": [{}],
    "RMSprop": [{}, {"centered": True}],
    "Adagrad": [{}],
    "Polyak": [{}, {"maximize": True}],
    "Nesterov": [{}],
}
CASES = [(name, flags) for name, every in FLAGS.items() for flags in every]


def ours(name):
    return getattr(gradus.optim, name)


def number(value):
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


def risk(w):
    """Neither quadratic nor even, so that every step depends on the one before."""
    return (w.sin() * w.flip(0)).sum() + 0.1 * w.pow(4).sum()


def slope(w):
    """The gradient, itself differentiable, at a copy of w: the step writes over w itself."""
    here = w.clone()
    return torch.autograd.grad(risk(here), here, create_graph=True)[0]


def after_steps(optimizer, start, **options):
    """The parameters after some steps."""
    w = start.clone()
    stepper = optimizer([w], **options, differentiable=True)
    for _ in range(STEPS):
        w.grad = slope(w)
        stepper.step()
    return w


def start():
    return torch.tensor([0.7, -1.2, 0.4], dtype=torch.float64, requires_grad=True)


def flattened(options):
    """Names and tensors, one for each number; betas are two."""
    for name, value in options.items():
        if name == "betas":
            yield from (("beta1", number(value[0])), ("beta2", number(value[1])))
        else:
            yield name, number(value)


def gathered(tensors):
    options = dict(tensors)
    if "beta1" in options:
        options["betas"] = (options.pop("beta1"), options.pop("beta2"))
    return options


@pytest.mark.parametrize(("name", "flags"), CASES, ids=str)
def test_every_option_and_the_start_can_be_differentiated(name, flags):
    given = {
        k: v for k, v in OPTIONS[name].items() if not ("nesterov" in flags and k == "dampening")
    }
    tensors = dict(flattened(given))

    def path_end(w, *values):
        options = gathered(zip(tensors, values, strict=True))
        return after_steps(ours(name), w, **options, **flags)

    assert torch.autograd.gradcheck(path_end, (start(), *tensors.values()))
    # Each of them has a say in where the path ends, so that what was compared is not 0 with 0.
    gradients = torch.autograd.grad(path_end(start(), *tensors.values()).sum(), tensors.values())
    assert all(gradient.abs() > 1e-6 for gradient in gradients)


@pytest.mark.parametrize(("name", "flags"), CASES, ids=str)
def test_options_that_are_numbers_give_the_same_path(name, flags):
    given = {
        k: v for k, v in OPTIONS[name].items() if not ("nesterov" in flags and k == "dampening")
    }
    as_numbers = after_steps(ours(name), start(), **given, **flags)
    as_tensors = after_steps(ours(name), start(), **gathered(flattened(given)), **flags)
    plain = start().detach().clone()
    stepper = ours(name)([plain], **given, **flags, foreach=False)
    for _ in range(STEPS):
        plain.grad = slope(plain.clone().requires_grad_()).detach()
        stepper.step()
    # The same operations but for factors taken in another order: a few roundings of numbers of
    # order 1.
    torch.testing.assert_close(as_tensors, as_numbers, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(as_numbers.detach(), plain, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_amsgrad_is_differentiated_through_its_maximum(name):
    def path_end(w, lr):
        return after_steps(ours(name), w, lr=lr, amsgrad=True, eps=0.1, betas=(0.5, 0.6))

    assert torch.autograd.gradcheck(path_end, (start(), number(0.1)))


def test_the_state_is_differentiated_with_the_parameters():
    w0 = start()
    w = w0.clone()
    stepper = gradus.optim.SGD([w], lr=0.1, momentum=0.5, differentiable=True)
    w.grad = slope(w)
    stepper.step()
    buffer = stepper.state[w]["momentum_buffer"]
    assert torch.autograd.grad(buffer.sum(), w0)[0].abs().min() > 0


def test_the_first_buffer_of_torchs_sgd_does_not_depend_on_its_gradient():
    """What the first test would find in torch 2.13: the buffer begins as a detached clone."""

    def path_end(optimizer):
        w0 = start()
        w = after_steps(optimizer, w0, lr=0.1, momentum=0.8)
        return w.detach(), torch.autograd.grad(w.sum(), w0)[0]

    (mine, my_slope), (theirs, their_slope) = map(path_end, (gradus.optim.SGD, torch.optim.SGD))
    torch.testing.assert_close(mine, theirs, rtol=1e-13, atol=1e-13)
    assert (my_slope - their_slope).abs().max() > 0.1


@pytest.mark.parametrize("name", OPTIONS)
def test_a_tensor_put_where_an_equal_number_stood_is_differentiated(name):
    w = start().clone()
    stepper = ours(name)([w], lr=0.1, differentiable=True)
    w.grad = slope(w)
    stepper.step()
    lr = number(0.1)
    stepper.param_groups[0]["lr"] = lr
    w.grad = slope(w)
    stepper.step()
    assert torch.autograd.grad(w.sum(), lr)[0].abs() > 1e-6


@pytest.mark.parametrize("name", OPTIONS)
def test_a_parameter_that_is_a_leaf_is_refused_by_automatic_differentiation(name):
    """As in torch: it cannot be both where the path begins and where it ends."""
    w = start()
    stepper = ours(name)([w], lr=0.1, differentiable=True)
    w.grad = torch.ones_like(w)
    with pytest.raises(RuntimeError, match="leaf Variable"):
        stepper.step()
