"""Every configuration that torch tests its own optimizers with: ours in torch's place.

Torch's for-loop is the truth. In float32 and float64 our for-loop and our lists of tensors are the
same operations in the same order, so they agree with it to the bit.
"""

import copy
import itertools
from functools import cache

import pytest
import torch
from torch.optim import Optimizer

import gradus
from gradus.optim import program

# Sizes below, at and beyond the width of a vector register, a scalar, and nothing at all.
SHAPES = ((5, 7), (17,), (), (2, 3, 4), (64,), (0,))
STEPS = 4

FUSED = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad")
NAMES = (*FUSED, "Adadelta", "Adamax", "RAdam")
FORMS = {
    "loop": {"foreach": False},
    "foreach": {"foreach": True},
    "default": {},
    "fused": {"fused": True},
    "differentiable": {"differentiable": True},
}
FORMS_OF = [(name, form) for name in NAMES for form in FORMS if form != "fused" or name in FUSED]
# Numbers of order 1 that differ by a few roundings a step. Torch's fused kernels round once where
# the loop rounds after every operation, its `_foreach_mul_` rounds bfloat16 otherwise than `mul`,
# its `addcmul` and `addcdiv` round complex numbers otherwise than the pairs of reals that move
# here, and what is differentiated is written without any of them. A step of the adaptive methods
# has the relative precision of the dtype times the order 10 of operations that it takes.
TOLERANCE = {
    torch.float32: {"rtol": 1e-5, "atol": 1e-5},
    torch.float64: {"rtol": 1e-13, "atol": 1e-13},
    torch.bfloat16: {"rtol": 5e-2, "atol": 5e-2},
    torch.complex64: {"rtol": 1e-5, "atol": 1e-5},
    torch.complex128: {"rtol": 1e-13, "atol": 1e-13},
}
TO_THE_BIT = {"rtol": 0.0, "atol": 0.0}


# Torch's for-loop, but for RAdam, whose equation is in the order of torch's lists of tensors.
TRUTH = {name: FORMS["foreach" if name == "RAdam" else "loop"] for name in NAMES}


def ours(name):
    return getattr(gradus.optim, name)


def theirs(name):
    return getattr(torch.optim, name)


@cache
def info():
    """What torch gives its own tests; imported here, for it costs seconds of every worker."""
    from torch.testing._internal.common_optimizers import optim_db

    # The import freezes torch.backends for the whole process; other tests are not to notice.
    vars(torch.backends)["__allow_nonbracketed_mutation_flag"] = True
    return {info.optim_cls.__name__: info for info in optim_db}


def configurations(name, device="cpu"):
    return [(given.desc, given.kwargs) for given in info()[name].optim_inputs_func(device)]


def drawn(random, dtype, shapes=SHAPES):
    return [torch.randn(shape, generator=random, dtype=dtype) for shape in shapes]


def moved(optimizer, options, dtype, *, absent=lambda step, at: False):
    """Parameters after a few steps on gradients drawn at random."""
    random = torch.Generator().manual_seed(0)
    params = drawn(random, dtype)
    stepper = optimizer(params, **copy.deepcopy(options))
    for step in range(STEPS):
        for at, (p, g) in enumerate(zip(params, drawn(random, dtype), strict=True)):
            p.grad = None if absent(step, at) else g
        stepper.step()
    return params


def tolerance(form, dtype):
    exact = form in ("loop", "foreach", "default") and dtype in (torch.float32, torch.float64)
    return TO_THE_BIT if exact else TOLERANCE[dtype]


@cache
def truth(name, dtype):
    """Where torch leads, with every configuration."""
    every = [options | TRUTH[name] for _, options in configurations(name)]
    return [moved(theirs(name), options, dtype) for options in every]


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize(("name", "form"), FORMS_OF)
def test_every_form_moves_as_torchs_loop_does(name, form, dtype):
    for (named, options), expected in zip(configurations(name), truth(name, dtype), strict=True):
        actual = moved(ours(name), options | FORMS[form], dtype)
        torch.testing.assert_close(
            actual, expected, **tolerance(form, dtype), msg=lambda m, n=named: f"{n}: {m}"
        )


def plain(options):
    """The same without what keeps a step on the device: tensors as numbers."""
    numbers = {
        name: tuple(map(float, value)) if isinstance(value, tuple) else value
        for name, value in options.items()
        if name != "capturable"
    }
    return {k: v.item() if isinstance(v, torch.Tensor) else v for k, v in numbers.items()}


# Here the corrections of bias are float32 numbers computed on the device, not Python's, whatever
# the dtype of the parameters; torch's are too.
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(
    ("name", "form"),
    [
        pair
        for pair in FORMS_OF
        if pair[1] != "differentiable" and pair[0] not in ("SGD", "Adagrad")
    ],
)
def test_capturable_moves_as_the_plain_form_does(name, form, dtype):
    capturable = [c for c in configurations(name, "cuda") if c[1].get("capturable")]
    assert len(capturable) >= 3
    for named, options in capturable:
        expected = moved(theirs(name), plain(options) | TRUTH[name], dtype)
        actual = moved(ours(name), options | FORMS[form], dtype)
        torch.testing.assert_close(
            actual, expected, **TOLERANCE[torch.float32], msg=lambda m, n=named: f"{n}: {m}"
        )


# What torch refuses.

# Torch cannot carry these out in its lists of tensors; here a tensor is read at every step.
ACCEPTED = {
    "lr as Tensor doesn't work with foreach & not capturable": {
        "lr": torch.tensor(0.001),
        "foreach": True,
    },
    "betas must be either both floats or both Tensors": {"betas": (0.9, torch.tensor(0.99))},
    r"betas\[0\] as a Tensor is not supported for capturable=False and foreach=True": {
        "betas": (torch.tensor(0.9), torch.tensor(0.99)),
        "foreach": True,
    },
}


@pytest.mark.parametrize("name", NAMES)
def test_what_torch_refuses_is_refused(name):
    refused = 0
    for case in info()[name].optim_error_inputs_func(device="cpu", dtype=torch.float32):
        given = case.optimizer_error_input
        assert case.error_on.name == "CONSTRUCTION_ERROR"
        if given.desc in ACCEPTED:
            continue
        params = [torch.nn.Parameter(torch.zeros(1))] if given.params is None else given.params
        catch = pytest.warns if issubclass(case.error_type, Warning) else pytest.raises
        # An option's message is ours and names it; the others are of torch's own base class.
        message = list(given.kwargs)[-1] if given.kwargs else case.error_regex
        with catch(case.error_type, match=message):
            ours(name)(params, **given.kwargs)
        refused += 1
    assert refused >= 7


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
@pytest.mark.parametrize("case", ACCEPTED)
def test_what_only_torch_refuses_works(name, case):
    options = ACCEPTED[case]
    every = info()[name].optim_error_inputs_func(device="cpu", dtype=torch.float32)
    assert case in [given.optimizer_error_input.desc for given in every]
    with pytest.raises(ValueError, match="Tensor"):
        theirs(name)([torch.zeros(1)], **options)
    as_numbers = plain(options) | FORMS["loop"]
    torch.testing.assert_close(
        moved(ours(name), options, torch.float32),
        moved(theirs(name), as_numbers, torch.float32),
        **TO_THE_BIT,
    )


# Parameters and gradients of every kind, against the loop to the bit.

RICH = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True},
    "Adam": {"lr": 0.1, "weight_decay": 0.1, "amsgrad": True},
    "AdamW": {"lr": 0.1, "weight_decay": 0.1, "amsgrad": True},
    "RMSprop": {"lr": 0.1, "weight_decay": 0.1, "momentum": 0.9, "centered": True},
    "Adagrad": {"lr": 0.1, "weight_decay": 0.1, "lr_decay": 0.1},
    "Adadelta": {"weight_decay": 0.1},
    "Adamax": {"lr": 0.1, "weight_decay": 0.1},
    "RAdam": {"lr": 0.1, "betas": (0.9, 0.9), "weight_decay": 0.1, "decoupled_weight_decay": True},
}
OWN = {
    "Polyak": {"lr": 0.1, "beta": 0.9},
    "Nesterov": {"lr": 0.1, "beta": 0.9},
    "ADOPT": {"lr": 0.1, "weight_decay": 0.1},
    "Lion": {"lr": 0.1, "weight_decay": 0.1},
}


def loop(name):
    """The truth: torch's, where torch has the method; else our own for-loop."""
    optimizer = ours(name) if name in OWN else theirs(name)
    form = TRUTH.get(name, FORMS["loop"])
    return lambda params, **options: optimizer(params, **options, **form)


def form_of(name, form):
    return lambda params, **options: ours(name)(params, **options, **FORMS[form])


EVERY = {**RICH, **OWN}
over_every_method = pytest.mark.parametrize("name", EVERY)
over_every_form = pytest.mark.parametrize(
    ("name", "form"),
    [
        (name, form)
        for name in EVERY
        for form in ("loop", "foreach", "fused")
        if form != "fused" or name in (*FUSED, "Polyak", "Nesterov")
    ],
)


@over_every_form
def test_a_parameter_without_a_gradient_stays_where_it_is(name, form):
    """And counts no step: its next one is corrected for its own number of steps."""

    def absent(step, at):
        return step < at or (at, step) == (1, 3)

    def last(optimizer):
        return moved(optimizer, EVERY[name], torch.float64, absent=absent)

    torch.testing.assert_close(
        last(form_of(name, form)), last(loop(name)), **tolerance(form, torch.float64)
    )
    start = drawn(torch.Generator().manual_seed(0), torch.float64)
    never = moved(form_of(name, form), EVERY[name], torch.float64, absent=lambda s, at: at == 3)
    assert torch.equal(never[3], start[3])
    assert not torch.equal(never[2], start[2])


def run(optimizer, options, params, gradients):
    """Parameters after steps on the given gradients; what was given is not changed."""
    copies = [p.clone(memory_format=torch.preserve_format) for p in params]
    stepper: Optimizer = optimizer(copies, **options)
    for step in gradients:
        for p, g in zip(copies, step, strict=True):
            p.grad = g
        stepper.step()
    return copies


@over_every_form
def test_parameters_of_several_dtypes_stand_in_one_group(name, form):
    dtypes = (torch.float32, torch.float64, torch.bfloat16, torch.complex64, torch.float32)
    random = torch.Generator().manual_seed(0)

    def one_of_each():
        return [torch.randn(6, generator=random, dtype=dtype) for dtype in dtypes]

    params, gradients = one_of_each(), [one_of_each() for _ in range(STEPS)]
    actual = run(form_of(name, form), EVERY[name], params, gradients)
    expected = run(loop(name), EVERY[name], params, gradients)
    for mine, truth in zip(actual, expected, strict=True):
        assert mine.dtype == truth.dtype
        torch.testing.assert_close(mine, truth, **tolerance(form, mine.dtype))


def layouts():
    """Parameters that do not lie in rows, with gradients that lie otherwise than they do."""
    random = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    yield "channels last", normal(2, 3, 4, 4).to(memory_format=torch.channels_last), normal
    yield "transposed", normal(5, 3).t(), normal
    yield "expanded gradient", normal(4, 6), lambda *shape: normal(1, 6).expand(*shape)
    yield "transposed gradient", normal(4, 6), lambda *shape: normal(6, 4).t()
    yield "every other gradient", normal(4, 6), lambda *shape: normal(8, 12)[::2, ::2]
    yield "one number", normal(7), lambda *shape: normal(1).expand(*shape)


@over_every_form
def test_parameters_and_gradients_may_lie_in_memory_as_they_like(name, form):
    for named, p, gradient in layouts():
        gradients = [[gradient(*p.shape)] for _ in range(STEPS)]
        (actual,) = run(form_of(name, form), EVERY[name], [p], gradients)
        (expected,) = run(loop(name), EVERY[name], [p], gradients)
        assert actual.stride() == p.stride(), named
        torch.testing.assert_close(
            actual,
            expected,
            **tolerance(form, torch.float64),
            msg=lambda m, n=named: f"{n}: {m}",
        )


@over_every_form
def test_a_parameter_may_be_a_part_of_a_larger_tensor(name, form):
    """Its neighbours stay as they are."""
    random = torch.Generator().manual_seed(0)
    whole = torch.randn(6, 8, generator=random, dtype=torch.float64)
    before, p = whole.clone(), whole[::2, 1::3]
    gradients = [torch.randn(3, 3, generator=random, dtype=torch.float64) for _ in range(STEPS)]
    stepper = form_of(name, form)([p], **EVERY[name])
    for p.grad in gradients:
        stepper.step()
    (expected,) = run(loop(name), EVERY[name], [before[::2, 1::3]], [[g] for g in gradients])
    torch.testing.assert_close(p, expected, **tolerance(form, torch.float64))
    before[::2, 1::3] = p
    assert torch.equal(whole, before)


@over_every_form
def test_a_gradient_may_be_a_conjugate_still_to_be_taken(name, form):
    """A parameter may not: it has no pairs of reals that could be moved where they lie."""
    random = torch.Generator().manual_seed(0)
    p, *slopes = (torch.randn(5, generator=random, dtype=torch.complex64) for _ in range(STEPS))
    lazy, taken = [[g.conj()] for g in slopes], [[g.conj().resolve_conj()] for g in slopes]
    assert lazy[0][0].is_conj()
    stepper = form_of(name, form)
    actual, expected = (run(stepper, EVERY[name], [p], gradients) for gradients in (lazy, taken))
    assert torch.equal(actual[0], expected[0])
    (conjugate,) = params = [p.conj()]
    conjugate.grad = taken[0][0]
    with pytest.raises(RuntimeError, match="conjugate"):
        stepper(params, **EVERY[name]).step()


@over_every_form
def test_a_group_may_be_empty(name, form):
    p = torch.ones(3, requires_grad=True)
    stepper = form_of(name, form)([{"params": []}, {"params": [p]}], **EVERY[name])
    stepper.step()
    assert torch.equal(p.detach(), torch.ones(3))
    p.grad = torch.ones(3)
    stepper.step()
    stepper.step()  # ADOPT only looks at its first
    assert not torch.equal(p.detach(), torch.ones(3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex128], ids=str)
@over_every_method
def test_pieces_make_no_difference(name, dtype, monkeypatch):
    """Tensors beyond a piece are cut, small ones gathered: the same numbers to the bit."""
    whole = moved(ours(name), EVERY[name], dtype)
    for size in (1, 20, 64):
        monkeypatch.setattr(program, "PIECE", size)
        assert all(map(torch.equal, moved(ours(name), EVERY[name], dtype), whole)), size
    if not dtype.is_complex:
        assert all(map(torch.equal, whole, moved(loop(name), EVERY[name], dtype)))


def peak(call):
    """The most bytes that torch holds at once, of those it allocates in a call."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as recorded:
        call()
    events = recorded.profiler.kineto_results.events()
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    return max(itertools.accumulate((size for _, size in changes), initial=0))


@over_every_method
def test_a_step_allocates_a_few_pieces(name, monkeypatch):
    """However large the parameter is; the for-loop allocates several of its size."""
    entries, pieces = 1024, 64
    monkeypatch.setattr(program, "PIECE", entries)
    (p,) = params = [torch.ones(pieces * entries)]
    p.grad = torch.ones_like(p)
    stepper = ours(name)(params, **EVERY[name])
    stepper.step()
    piece = entries * p.element_size()
    assert peak(stepper.step) <= 5 * piece
    stepper.param_groups[0]["foreach"] = False
    assert peak(stepper.step) >= pieces * piece
