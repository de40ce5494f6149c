"""Wrong options are refused where they are given, or at the next step, and leave nothing behind."""

import itertools
import math

import numpy as np
import pytest
import torch

import gradus

# Every number among the options, with values just outside of its range.
NUMBERS = {
    "SGD": {"lr": [-0.1], "momentum": [-0.1], "dampening": [], "weight_decay": [-0.1]},
    "Adam": {"lr": [-0.1], "eps": [-1e-9], "weight_decay": [-0.1]},
    "AdamW": {"lr": [-0.1], "eps": [-1e-9], "weight_decay": [-0.1]},
    "RMSprop": {
        "lr": [-0.1],
        "alpha": [-0.1, 1.0],
        "eps": [-1e-9],
        "weight_decay": [-0.1],
        "momentum": [-0.1],
    },
    "Adagrad": {
        "lr": [-0.1],
        "lr_decay": [-0.1],
        "weight_decay": [-0.1],
        "initial_accumulator_value": [-0.1],
        "eps": [-1e-9],
    },
    "Adadelta": {"lr": [-0.1], "rho": [-0.1, 1.0], "eps": [-1e-9], "weight_decay": [-0.1]},
    "Adamax": {"lr": [-0.1], "eps": [-1e-9], "weight_decay": [-0.1]},
    "RAdam": {"lr": [-0.1], "eps": [-1e-9], "weight_decay": [-0.1]},
    "ADOPT": {"lr": [-0.1], "eps": [-1e-9], "weight_decay": [-0.1]},
    "Lion": {"lr": [-0.1], "weight_decay": [-0.1]},
    "Polyak": {"lr": [-0.1], "beta": [-0.1, 1.0]},
    "Nesterov": {"lr": [-0.1], "beta": [-0.1, 1.0]},
}
NAMES = tuple(NUMBERS)
UNFUSED = ("Adadelta", "Adamax", "RAdam", "ADOPT", "Lion")
NO_NUMBERS = [True, "0.1", None, 1j]
NOT_FINITE = [math.nan, math.inf, -math.inf]
WRONG = [
    (name, option, value, error)
    for name, options in NUMBERS.items()
    for option, outside in options.items()
    for error, wrong in ((TypeError, NO_NUMBERS), (ValueError, [*NOT_FINITE, *outside]))
    for value in wrong
] + [
    (name, "betas", betas, error)
    for name in ("Adam", "AdamW", "Adamax", "RAdam", "ADOPT", "Lion")
    for error, wrong in (
        (TypeError, [(True, 0.9), (0.9, "0.9"), (None, 0.9)]),
        (ValueError, [(1.0, 0.9), (0.9, -0.1), (math.nan, 0.9), (0.9, math.inf)]),
        (ValueError, [0.9, (0.9,), (0.9, 0.9, 0.9), "ab", None]),
    )
    for betas in wrong
]
BY_OPTION = {
    key: [(value, error) for _, _, value, error in rows]
    for key, rows in itertools.groupby(WRONG, key=lambda row: row[:2])
}
over_options = pytest.mark.parametrize(("name", "option"), BY_OPTION)


def ours(name):
    return getattr(gradus.optim, name)


def parameter():
    p = torch.ones(3, requires_grad=True)
    p.grad = torch.full((3,), 0.5)
    return p


def refused(call, option, value, error):
    """One line that names the option and what was given."""
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert option in message, (value, message)
    assert "\n" not in message
    if not isinstance(value, tuple):
        assert repr(value) in message, (value, message)


@over_options
def test_a_wrong_option_is_refused_at_construction(name, option):
    for value, error in BY_OPTION[name, option]:
        wrong = {option: value, **({"momentum": 0.9} if option == "dampening" else {})}
        refused(lambda w=wrong: ours(name)([parameter()], **w), option, value, error)
        group = {"params": [parameter()], **wrong}
        refused(lambda g=group: ours(name)([g]), option, value, error)


@over_options
def test_a_refused_group_leaves_nothing_behind(name, option):
    p, added = parameter(), parameter()
    optimizer = ours(name)([p])
    optimizer.step()
    groups = [dict(group) for group in optimizer.param_groups]
    for value, error in BY_OPTION[name, option]:
        group = {"params": [added], option: value}
        if option == "dampening":
            group["momentum"] = 0.9
        refused(lambda g=group: optimizer.add_param_group(g), option, value, error)
        assert [dict(group) for group in optimizer.param_groups] == groups
        assert added not in optimizer.state
    optimizer.add_param_group({"params": [added]})
    optimizer.step()
    optimizer.step()  # ADOPT only looks at its first
    assert not torch.equal(added, torch.ones(3))


@over_options
def test_an_option_made_wrong_later_is_refused_at_the_next_step(name, option):
    """Before anything has moved: the group before it, or a count of steps."""
    before, p = parameter(), parameter()
    started = {"momentum": 0.9} if option == "dampening" else {}
    optimizer = ours(name)([{"params": [before]}, {"params": [p]}], **started)
    optimizer.step()
    values = [before.detach().clone(), p.detach().clone()]
    state = {q: {k: v.clone() for k, v in held.items()} for q, held in optimizer.state.items()}
    group = optimizer.param_groups[1]
    right = group[option]
    for value, error in BY_OPTION[name, option]:
        group[option] = value
        refused(optimizer.step, option, value, error)
        assert torch.equal(before, values[0])
        assert torch.equal(p, values[1])
        for q, held in state.items():
            assert all(torch.equal(optimizer.state[q][key], held[key]) for key in held)
    group[option] = right
    optimizer.step()
    assert not torch.equal(p, values[1])


@over_options
def test_a_tensor_is_checked_as_the_number_that_it_holds(name, option):
    nan, two = torch.tensor(math.nan), torch.tensor([0.1, 0.1])
    wrong, long = ((0.9, nan), (0.9, two)) if option == "betas" else (nan, two)
    extra = {"momentum": 0.9} if option == "dampening" else {}
    with pytest.raises(ValueError, match=option):
        ours(name)([parameter()], **{option: wrong}, **extra)
    with pytest.raises(ValueError, match=f"Tensor {option} must be 1-element"):
        ours(name)([parameter()], **{option: long}, **extra)
    p = parameter()
    optimizer = ours(name)([p], **extra)
    optimizer.param_groups[0][option] = wrong
    with pytest.raises(ValueError, match=option):
        optimizer.step()
    assert torch.equal(p, torch.ones(3))


@pytest.mark.parametrize("name", NAMES)
def test_a_schedule_is_not_a_learning_rate_here(name):
    """The count of steps is the scheduler's, as everywhere in torch."""
    schedule = gradus.methods.InverseTime(0.1, gamma=1.0)
    with pytest.raises(TypeError, match=r"lr must be .*InverseTime.*LambdaLR"):
        ours(name)([parameter()], lr=schedule)
    optimizer = ours(name)([parameter()])
    optimizer.param_groups[0]["lr"] = schedule
    with pytest.raises(TypeError, match="LambdaLR"):
        optimizer.step()


CONTRADICTIONS = [
    ({"dampening": 0.5}, "dampening needs momentum"),
    ({"nesterov": True}, "nesterov needs momentum"),
    ({"nesterov": True, "momentum": 0.9, "dampening": 0.5}, "nesterov needs .* dampening 0"),
]


@pytest.mark.parametrize(("options", "message"), CONTRADICTIONS)
def test_sgd_refuses_dampening_and_nesterov_without_momentum(options, message):
    with pytest.raises(ValueError, match=message):
        gradus.optim.SGD([parameter()], **options)
    optimizer = gradus.optim.SGD([parameter()])
    with pytest.raises(ValueError, match=message):
        optimizer.add_param_group({"params": [parameter()], **options})
    assert len(optimizer.param_groups) == 1
    optimizer.param_groups[0].update(options)
    with pytest.raises(ValueError, match=message):
        optimizer.step()


@pytest.mark.parametrize(
    ("name", "ways"),
    [
        (name, ways)
        for name in NAMES
        for ways in itertools.combinations(("foreach", "fused", "differentiable"), 2)
        if "fused" not in ways or name not in UNFUSED
    ],
    ids=str,
)
def test_a_step_is_carried_out_in_one_way(name, ways):
    message = f"`{ways[0]}` and `{ways[1]}` cannot be True together"
    with pytest.raises(RuntimeError, match=message):
        ours(name)([parameter()], **dict.fromkeys(ways, True))
    optimizer = ours(name)([parameter()], **{ways[0]: True})
    with pytest.raises(RuntimeError, match=message):
        optimizer.add_param_group({"params": [parameter()], ways[1]: True})
    assert len(optimizer.param_groups) == 1
    optimizer.step()
    for option in ways:
        optimizer.param_groups[0][option] = True
    with pytest.raises(RuntimeError, match=message):
        optimizer.step()


FLAGS = {
    "SGD": ("nesterov",),
    "Adam": ("amsgrad", "capturable"),
    "AdamW": ("amsgrad", "capturable"),
    "RMSprop": ("centered", "capturable"),
    "RAdam": ("decoupled_weight_decay", "capturable"),
    **dict.fromkeys(("Adadelta", "Adamax", "ADOPT"), ("capturable",)),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_flag_is_true_or_false_and_never_text(name):
    """Text that says no would count as yes. Foreach and fused may be None: undecided."""
    fused = () if name in UNFUSED else ("fused",)
    for flag in (*FLAGS.get(name, ()), "maximize", "differentiable", "foreach", *fused):
        may_be_none = flag in ("foreach", "fused")
        for value in ("False", "no", 1, 0.0, torch.tensor(True), *([] if may_be_none else [None])):
            message = rf"^{flag} must be True(,| or) False( or None)?, not .*$"
            with pytest.raises(TypeError, match=message):
                ours(name)([parameter()], **{flag: value})
            optimizer = ours(name)([parameter()])
            with pytest.raises(TypeError, match=message):
                optimizer.add_param_group({"params": [parameter()], flag: value})
            optimizer.step()
            right = optimizer.param_groups[0][flag]
            optimizer.param_groups[0][flag] = value
            with pytest.raises(TypeError, match=message):
                optimizer.step()
            optimizer.param_groups[0][flag] = right
            optimizer.step()


@pytest.mark.parametrize("value", [torch.tensor([0.1, 0.1]), np.array([0.1, 0.1])], ids=type)
@over_options
def test_several_numbers_put_later_where_one_belongs_are_refused(name, option, value):
    optimizer = ours(name)([parameter()], **({"momentum": 0.9} if option == "dampening" else {}))
    optimizer.step()
    optimizer.param_groups[0][option] = (0.9, value) if option == "betas" else value
    with pytest.raises((TypeError, ValueError), match=rf"^[^\n]*{option}[^\n]*$"):
        optimizer.step()


@over_options
def test_true_is_no_number_even_where_one_stood(name, option):
    """True == 1: what is equal is not the same."""
    if option == "betas" or BY_OPTION[name, option][-1] == (1.0, ValueError):
        return  # 1 is out of its range
    extra = {"momentum": 0.9} if option == "dampening" else {}
    optimizer = ours(name)([parameter()], **{option: 1.0}, **extra)
    optimizer.step()
    optimizer.param_groups[0][option] = True
    with pytest.raises(TypeError, match=f"^{option} must be"):
        optimizer.step()


@over_options
def test_nan_put_later_is_refused_where_automatic_differentiation_sees_the_step(name, option):
    w = torch.ones(3)
    w.grad = torch.ones(3)
    extra = {"momentum": 0.9} if option == "dampening" else {}
    optimizer = ours(name)([w], **extra, differentiable=True)
    optimizer.step()
    stood = w.clone()
    nan = torch.tensor(math.nan)
    optimizer.param_groups[0][option] = (nan, 0.9) if option == "betas" else nan
    with pytest.raises(ValueError, match=f"^{option}.* must be a finite number"):
        optimizer.step()
    assert torch.equal(w, stood)


@pytest.mark.parametrize("name", NAMES)
def test_an_option_that_there_is_not_is_refused(name):
    with pytest.raises(TypeError, match="learning_rate"):
        ours(name)([parameter()], learning_rate=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_no_parameters_are_refused_as_torch_refuses_them(name):
    with pytest.raises(ValueError, match="empty parameter list"):
        ours(name)([])
    p = parameter()
    optimizer = ours(name)([p])
    with pytest.raises(ValueError, match="more than one parameter group"):
        optimizer.add_param_group({"params": [p]})
    with pytest.raises(TypeError, match="param_group must be a dict"):
        optimizer.add_param_group([p])
    assert len(optimizer.param_groups) == 1
