"""What torch builds around an optimizer works around ours: hooks, schedulers, scalers, closures."""

import copy
import math

import pytest
import torch
from torch.optim import lr_scheduler

import gradus

RICH = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True},
    "Adam": {"lr": 0.1, "weight_decay": 0.1, "amsgrad": True},
    "AdamW": {"lr": 0.1, "weight_decay": 0.1, "amsgrad": True},
    "RMSprop": {"lr": 0.1, "weight_decay": 0.1, "momentum": 0.9, "centered": True},
    "Adagrad": {"lr": 0.1, "weight_decay": 0.1, "lr_decay": 0.1},
    "Polyak": {"lr": 0.1, "beta": 0.9},
    "Nesterov": {"lr": 0.1, "beta": 0.9},
}
OWN = ("Polyak", "Nesterov")
SHARED = [name for name in RICH if name not in OWN]
WITH_KERNEL = ["SGD", "Adam", "AdamW", "Adagrad"]
FORMS = {
    "loop": {"foreach": False},
    "foreach": {"foreach": True},
    "fused": {"fused": True},
}
# The fused kernels, and options given as float32 tensors, round otherwise than the loop: a few
# units in the last place of numbers of order 1 a step.
ROUNDED = {"rtol": 1e-5, "atol": 1e-5}
TO_THE_BIT = {"rtol": 0.0, "atol": 0.0}

over_methods = pytest.mark.parametrize("name", RICH)
over_shared = pytest.mark.parametrize("name", SHARED)
over_forms = pytest.mark.parametrize("form", FORMS)


def ours(name):
    return getattr(gradus.optim, name)


def loop(name):
    """The truth: torch's for-loop, for Polyak and Nesterov our own."""
    optimizer = ours(name) if name in OWN else getattr(torch.optim, name)
    return lambda params, **options: optimizer(params, **options, foreach=False)


def close_to_loop(form):
    return ROUNDED if form == "fused" else TO_THE_BIT


def start():
    random = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=random).requires_grad_() for shape in ((4, 5), (17,), ())]


def values(params):
    return [p.detach().clone() for p in params]


def drive(params, optimizer, *, steps=6, between=lambda step: None, sign=1.0):
    """Steps on gradients drawn at random, and the path that they make."""
    random = torch.Generator().manual_seed(1)
    path = []
    for step in range(steps):
        for p in params:
            p.grad = sign * torch.randn(p.shape, generator=random)
        optimizer.step()
        between(step)
        path += values(params)
    return path


# Hooks.


@over_methods
def test_hooks_run_around_every_step(name):
    params = start()
    optimizer = ours(name)(params, **RICH[name])
    seen = []
    before = optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append(values(params)))
    optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append(values(params)))
    path = drive(params, optimizer, steps=2)
    before.remove()
    drive(params, optimizer, steps=1)
    at, half = len(params), 2 * len(params)
    assert len(seen) == 5
    for hooked, expected in ((seen[1], path[:at]), (seen[2], path[:at]), (seen[3], path[at:half])):
        assert all(map(torch.equal, hooked, expected))
    assert all(map(torch.equal, seen[0], values(start())))


@over_methods
def test_hooks_of_state_dict_see_and_change_it(name):
    params = start()
    optimizer = ours(name)(params, **RICH[name])
    drive(params, optimizer, steps=1)
    seen = []
    optimizer.register_state_dict_pre_hook(lambda o: seen.append("before"))
    optimizer.register_state_dict_post_hook(lambda o, state: {**state, "note": "kept"})
    optimizer.register_load_state_dict_pre_hook(
        lambda o, state: {k: v for k, v in state.items() if k != "note"}
    )
    optimizer.register_load_state_dict_post_hook(lambda o: seen.append("loaded"))
    state = optimizer.state_dict()
    assert state["note"] == "kept"
    optimizer.load_state_dict(state)
    assert seen == ["before", "loaded"]


# Schedulers.

SCHEDULERS = {
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda step: 1 / (1 + step)),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=3),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o,
        [lr_scheduler.LinearLR(o, total_iters=2), lr_scheduler.ExponentialLR(o, gamma=0.5)],
        milestones=[2],
    ),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(
        o, max_lr=0.2, total_steps=9, cycle_momentum=bool({"momentum", "betas"} & o.defaults.keys())
    ),
}


def scheduled(make, options, schedule):
    params = start()
    optimizer = make(params, **copy.deepcopy(options))
    scheduler = schedule(optimizer)
    return drive(params, optimizer, between=lambda step: scheduler.step()), optimizer


@pytest.mark.parametrize("schedule", SCHEDULERS.values(), ids=SCHEDULERS)
@over_shared
def test_schedulers_of_torch_steer_every_form(name, schedule):
    """The rate at every step, and with OneCycleLR the momentum or the first beta too."""
    expected, _ = scheduled(loop(name), RICH[name], schedule)
    for form, options in FORMS.items():
        path, _ = scheduled(ours(name), RICH[name] | options, schedule)
        torch.testing.assert_close(path, expected, **close_to_loop(form), msg=form)


@pytest.mark.parametrize("schedule", SCHEDULERS.values(), ids=SCHEDULERS)
@over_methods
def test_schedulers_of_torch_steer_a_rate_that_is_a_tensor(name, schedule):
    expected, _ = scheduled(loop(name), RICH[name], schedule)
    for form, options in FORMS.items():
        lr = torch.tensor(0.1)
        path, optimizer = scheduled(ours(name), RICH[name] | {"lr": lr} | options, schedule)
        torch.testing.assert_close(path, expected, **ROUNDED, msg=form)
        assert isinstance(optimizer.param_groups[0]["lr"], torch.Tensor)


CYCLES = {
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.2, total_steps=9),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.2, step_size_up=3),
}


@pytest.mark.parametrize("schedule", CYCLES.values(), ids=CYCLES)
@pytest.mark.parametrize("name", ["Polyak", "Nesterov"])
@pytest.mark.parametrize("form", FORMS)
def test_the_momentum_that_a_scheduler_cycles_is_beta(name, schedule, form):
    """As torch's SGD is told it; the path is that of the equation with these numbers."""
    told = torch.optim.SGD(start(), lr=0.1, momentum=0.9)
    scheduler = schedule(told)
    numbers = []
    for _ in range(7):
        numbers.append((told.param_groups[0]["lr"], told.param_groups[0]["momentum"]))
        told.step()
        scheduler.step()
    assert len({beta for _, beta in numbers}) > 3

    p = torch.tensor([3.0, -2.0], dtype=torch.float64)
    w = before = query = p.clone()
    optimizer = ours(name)([p], beta=0.5, **FORMS[form])
    scheduler = schedule(optimizer)
    for lr, beta in numbers:
        p.grad = p.cos()
        optimizer.step()
        scheduler.step()
        if name == "Nesterov":  # from the query, where the gradient is
            w, before = query - lr * query.cos(), w
        else:
            w, before = w + beta * (w - before) - lr * w.cos(), w
        query = w + beta * (w - before) if name == "Nesterov" else w
        torch.testing.assert_close(p, query)
        assert optimizer.param_groups[0]["beta"] == beta
        assert 0.0 <= optimizer.param_groups[0]["momentum"] < 1.0  # for the next step


@over_methods
def test_reduce_on_plateau_reduces(name):
    def run(make, **options):
        params = start()
        optimizer = make(params, **RICH[name] | options)
        scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
        path = drive(params, optimizer, between=lambda step: scheduler.step(1.0))
        assert optimizer.param_groups[0]["lr"] == RICH[name]["lr"] / 4
        return path

    torch.testing.assert_close(run(ours(name)), run(loop(name)), **TO_THE_BIT)


# Options that are tensors.

TENSORS = {
    "SGD": {"lr": torch.tensor(0.1), "weight_decay": torch.tensor([0.1])},
    "Adam": {"lr": torch.tensor([0.1]), "betas": (torch.tensor(0.8), torch.tensor([[0.9]]))},
    "AdamW": {"lr": torch.tensor([0.1]), "betas": (torch.tensor(0.8), 0.9)},
    "RMSprop": {"lr": torch.tensor(0.1), "weight_decay": torch.tensor(0.1)},
    "Adagrad": {"lr": torch.tensor(0.1), "weight_decay": torch.tensor(0.1)},
    "Polyak": {"lr": torch.tensor(0.1), "beta": torch.tensor(0.9)},
    "Nesterov": {"lr": torch.tensor(0.1), "beta": torch.tensor(0.9)},
}


@over_forms
@over_methods
def test_options_may_be_tensors_and_are_read_at_every_step(name, form):
    def number(value):
        return value.item() if isinstance(value, torch.Tensor) else value

    as_tensors = copy.deepcopy(TENSORS[name])
    as_numbers = {
        option: tuple(map(number, value)) if isinstance(value, tuple) else number(value)
        for option, value in as_tensors.items()
    }
    params, truth = start(), start()
    optimizer = ours(name)(params, **RICH[name] | as_tensors | FORMS[form])
    expected = loop(name)(truth, **RICH[name] | as_numbers)

    def halve(step):
        as_tensors["lr"].mul_(0.5)

    def halve_number(step):
        expected.param_groups[0]["lr"] *= 0.5

    torch.testing.assert_close(
        drive(params, optimizer, between=halve),
        drive(truth, expected, between=halve_number),
        **close_to_loop(form),
    )


# What a step leaves alone.


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_betas_in_a_list_are_read_at_every_step(name):
    """A list may change where it stands, and stays the same list."""
    ends = []
    for betas in ([0.9, 0.99], (0.9, 0.99)):
        w = torch.ones(3)
        optimizer = ours(name)([w], lr=0.1, betas=betas)
        for step, g in enumerate((1.0, -2.0, 3.0)):
            if step == 1 and isinstance(betas, list):
                betas[0] = 0.1
            elif step == 1:
                optimizer.param_groups[0]["betas"] = (0.1, 0.99)
            w.grad = torch.full((3,), g)
            optimizer.step()
        ends.append(w)
    assert torch.equal(*ends)


@over_forms
@over_methods
def test_gradients_stay_as_they_are(name, form):
    params = start()
    optimizer = ours(name)(params, **RICH[name] | FORMS[form] | {"maximize": True})
    for _ in range(3):
        gradients = [torch.randn_like(p) for p in params]
        for p, g in zip(params, gradients, strict=True):
            p.grad = g.clone()
        held = [(p.grad, p.grad._version) for p in params]
        optimizer.step()
        for p, g, (tensor, version) in zip(params, gradients, held, strict=True):
            assert p.grad is tensor
            assert tensor._version == version
            assert torch.equal(tensor, g)


def test_gradients_change_where_torch_moves_lists_by_nesterovs_form():
    """What the test before would find in torch 2.13."""
    (p,) = params = [torch.ones(3)]
    optimizer = torch.optim.SGD(params, lr=0.1, momentum=0.9, nesterov=True, foreach=True)
    p.grad = torch.ones(3)
    optimizer.step()
    assert not torch.equal(p.grad, torch.ones(3))


@over_forms
@over_methods
def test_a_step_is_not_seen_by_automatic_differentiation(name, form):
    """Whether gradients are enabled outside or not."""
    paths = []
    for enabled in (True, False):
        params = start()
        optimizer = ours(name)(params, **RICH[name] | FORMS[form])
        with torch.set_grad_enabled(enabled):
            paths.append(drive(params, optimizer))
            assert torch.is_grad_enabled() is enabled
        assert all(p.is_leaf and p.requires_grad for p in params)
        for state in optimizer.state.values():
            assert not any(tensor.requires_grad for tensor in state.values())
    torch.testing.assert_close(*paths, **TO_THE_BIT)


@over_methods
def test_zero_grad_removes_or_zeroes_gradients(name):
    params = start()
    optimizer = ours(name)(params, **RICH[name])
    drive(params, optimizer, steps=1)
    optimizer.zero_grad(set_to_none=False)
    assert all(not p.grad.any() for p in params)
    optimizer.zero_grad()
    assert all(p.grad is None for p in params)
    before = values(params)
    optimizer.step()
    assert all(map(torch.equal, values(params), before))


@over_forms
@over_methods
def test_climbing_is_descending_along_the_opposite_gradient(name, form):
    """Weight decay pulls towards 0 all the same."""
    params, mirrored = start(), start()
    climbing = ours(name)(params, **RICH[name] | FORMS[form] | {"maximize": True})
    descending = ours(name)(mirrored, **RICH[name] | FORMS[form])
    torch.testing.assert_close(
        drive(params, climbing), drive(mirrored, descending, sign=-1.0), **TO_THE_BIT
    )


# Closures and training.


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))


def batch():
    random = torch.Generator().manual_seed(0)
    x = torch.randn(64, 6, generator=random)
    return x, x[:, :3].argmax(1)


@over_forms
@over_methods
def test_a_closure_evaluates_the_loss_before_the_step_and_is_returned(name, form):
    """Even where gradients are disabled around it; training is the same as without it."""
    (x, y), lr = batch(), {"lr": 0.03}
    with_closure, without = network(), network()
    closing = ours(name)(with_closure.parameters(), **RICH[name] | FORMS[form] | lr)
    plain = ours(name)(without.parameters(), **RICH[name] | FORMS[form] | lr)

    def loss_of(model, optimizer):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        return loss

    losses = []
    for _ in range(10):
        with torch.no_grad():
            returned = closing.step(lambda: loss_of(with_closure, closing))
        loss = loss_of(without, plain)
        assert plain.step() is None
        assert torch.equal(returned, loss)
        losses.append(loss.item())
    torch.testing.assert_close(
        list(with_closure.parameters()), list(without.parameters()), **TO_THE_BIT
    )
    assert losses[-1] < losses[0]


# GradScaler.


def scaled_training(name, options, *, overflows):
    """Losses scaled by powers of 2, so that scaling does not round; some gradients are infinite."""
    params = start()
    optimizer = ours(name)(params, **RICH[name] | options)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=2)
    random = torch.Generator().manual_seed(1)
    moved = []
    for step in range(6):
        before = values(params)
        optimizer.zero_grad()
        slopes = [torch.randn(p.shape, generator=random) for p in params]
        if step in overflows:
            slopes[1][3] = math.inf
        loss = sum((slope * p).sum() for slope, p in zip(slopes, params, strict=True))
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        moved.append(not all(map(torch.equal, values(params), before)))
    return params, optimizer, moved, scaler.get_scale()


def unscaled_training(name, options, *, overflows):
    params = start()
    optimizer = loop(name)(params, **RICH[name] | options)
    random = torch.Generator().manual_seed(1)
    for step in range(6):
        for p in params:
            p.grad = torch.randn(p.shape, generator=random)
        if step not in overflows:
            optimizer.step()
    return params, optimizer


DAMPENED = {"nesterov": False, "dampening": 0.5}
SCALED = [(name, {}) for name in RICH] + [("SGD", DAMPENED), ("SGD", {**DAMPENED, "momentum": 0.1})]


@pytest.mark.parametrize("overflows", [(), (2,), (0, 1, 4)], ids=str)
@pytest.mark.parametrize(
    ("name", "more"), SCALED, ids=lambda v: v if isinstance(v, str) else str(len(v))
)
@over_forms
def test_an_overflow_moves_nothing_and_the_next_step_is_right(name, more, form, overflows):
    params, optimizer, moved, scale = scaled_training(name, more | FORMS[form], overflows=overflows)
    expected, truth = unscaled_training(name, more, overflows=overflows)
    assert moved == [step not in overflows for step in range(6)]
    assert scale != 2.0**10
    torch.testing.assert_close(values(params), values(expected), **close_to_loop(form))
    for p, q in zip(params, expected, strict=True):
        kept, true = optimizer.state[p], truth.state[q]
        assert kept.keys() == true.keys()
        for key in kept:
            torch.testing.assert_close(kept[key], true[key], **close_to_loop(form), msg=key)


@pytest.mark.parametrize("name", WITH_KERNEL)
def test_only_fused_kernels_are_handed_scaled_gradients(name):
    """The others get theirs divided by the scale first, and are not called after an overflow."""
    params = start()
    for form, options in FORMS.items():
        optimizer = ours(name)(params, **RICH[name] | options)
        assert optimizer._step_supports_amp_scaling is (form == "fused")
    mixed = [{"params": params[:1], "fused": True}, {"params": params[1:], "fused": None}]
    assert not ours(name)(mixed, **RICH[name])._step_supports_amp_scaling


@pytest.mark.parametrize("name", ["RMSprop", *OWN])
def test_what_has_no_kernel_takes_no_scaled_gradients(name):
    assert not ours(name)(start(), fused=True)._step_supports_amp_scaling


# Sparse gradients.


def embedding(sparse=True):
    torch.manual_seed(0)
    return torch.nn.Embedding(10, 3, sparse=sparse)


LOOKED_UP = [1, 4, 7]
ROWS = ([1, 4, 4], [4, 7], [1], [], [7, 1, 4])


def look_up(table, optimizer):
    path = []
    for step, rows in enumerate(ROWS):
        optimizer.zero_grad()
        ((step + 1) * table(torch.tensor(rows, dtype=torch.long))).square().sum().backward()
        optimizer.step()
        path.append(table.weight.detach().clone())
    return path


# Torch's own Adagrad warns that it builds sparse tensors without checking them.
@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("foreach", [None, True, False])
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SGD", {}),
        ("Adagrad", {}),
        ("Adagrad", {"lr_decay": 0.1, "initial_accumulator_value": 0.3}),
    ],
)
def test_only_the_rows_that_are_touched_move(name, options, maximize, foreach):
    """As torch moves them, and as a dense gradient that is 0 elsewhere would."""
    options = {"lr": 0.1, "maximize": maximize, **options}
    table = embedding()
    before = table.weight.detach().clone()
    path = look_up(table, ours(name)(table.parameters(), **options, foreach=foreach))
    untouched = [row for row in range(10) if row not in LOOKED_UP]
    assert torch.equal(path[-1][untouched], before[untouched])
    assert not (path[-1] == before).all(1)[LOOKED_UP].any()
    for sparse, make in ((True, getattr(torch.optim, name)), (False, loop(name))):
        theirs = embedding(sparse)
        expected = look_up(theirs, make(theirs.parameters(), **options))
        # A row looked up twice adds its gradients in another order.
        torch.testing.assert_close(path, expected, **ROUNDED)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in ("Adam", "AdamW", "RMSprop", *OWN)),
        ("SGD", {"momentum": 0.9}),
        ("SGD", {"weight_decay": 0.1}),
        ("SGD", {"fused": True}),
        ("Adagrad", {"weight_decay": 0.1}),
        ("Adagrad", {"fused": True}),
        ("SGD", {"differentiable": True}),
    ],
    ids=str,
)
def test_a_sparse_gradient_is_refused_where_other_rows_would_move_too(name, options):
    """And nothing has moved, the dense parameters before it included."""
    table, dense = embedding(), torch.ones(3, requires_grad=True)
    before = table.weight.detach().clone()
    groups = [{"params": [dense]}, {"params": table.parameters()}]
    optimizer = ours(name)(groups, lr=0.1, **options)
    dense.grad = torch.ones(3)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match=f"{name}.* does not support sparse gradients"):
        optimizer.step()
    assert torch.equal(dense.detach(), torch.ones(3))
    assert torch.equal(table.weight.detach(), before)


def test_sparse_and_dense_parameters_move_in_one_group():
    table, dense = embedding(), torch.ones(3, requires_grad=True)
    optimizer = gradus.optim.Adagrad([dense, table.weight], lr=0.1)
    dense.grad = torch.ones(3)
    table(torch.tensor([1])).sum().backward()
    before = table.weight.detach().clone()
    optimizer.step()
    assert torch.equal(dense.detach(), torch.full((3,), 1 - 0.1))
    moved = (table.weight.detach() != before).any(1)
    assert moved.nonzero().tolist() == [[1]]


def test_the_profiler_finds_the_step_by_torchs_name():
    p = torch.nn.Parameter(torch.ones(2))
    p.grad = torch.ones(2)
    optimizer = gradus.optim.SGD([p], lr=0.5)
    with torch.profiler.profile() as profile:
        optimizer.step()
    assert "Optimizer.step#SGD.step" in {event.key for event in profile.key_averages()}
    assert torch.equal(p.detach(), torch.full((2,), 0.5))


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # of torch's own compiler
@pytest.mark.parametrize("name", ["SGD", "Adam", "Nesterov"])
def test_a_compiled_step_is_the_step(name):
    """The compiler would keep the count of steps of the first call; two tensors, as it errs on."""

    def train(compile_step):
        params = [torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(2))]
        optimizer = getattr(gradus.optim, name)(params, lr=0.1)
        step = torch.compile(optimizer.step) if compile_step else optimizer.step
        for _ in range(3):
            for p in params:
                p.grad = 2 * p.detach()
            step()
        return params

    assert all(map(torch.equal, train(compile_step=True), train(compile_step=False)))


def test_what_a_script_takes_from_torch_optim_is_there_or_said_to_be_in_torch():
    assert gradus.optim.lr_scheduler is torch.optim.lr_scheduler
    assert issubclass(gradus.optim.SGD, gradus.optim.Optimizer)
    with pytest.raises(AttributeError, match=r"no NAdam: take torch\.optim\.NAdam; it has ADOPT"):
        _ = gradus.optim.NAdam
    with pytest.raises(AttributeError, match=r"gradus\.optim has no Adma; it has"):
        _ = gradus.optim.Adma
