"""State that is kept, handed over to torch, taken over from it, and continued."""

import copy
import io
import itertools
import pickle

import pytest
import torch

import gradus

STEPS = 4
SHAPES = ((3, 5), (17,), ())

OPTIONS = {
    "SGD": [
        {"lr": 0.1},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True},
    ],
    "Adam": [{"lr": 0.1}, {"lr": 0.1, "amsgrad": True, "weight_decay": 0.1, "betas": (0.8, 0.9)}],
    "AdamW": [{"lr": 0.1}, {"lr": 0.1, "amsgrad": True, "weight_decay": 0.1, "eps": 1e-3}],
    "RMSprop": [
        {"lr": 0.1},
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1},
        {"lr": 0.1, "momentum": 0.9, "centered": True, "alpha": 0.9},
    ],
    "Adagrad": [{"lr": 0.1}, {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.5}],
    "Adadelta": [{"lr": 0.5, "rho": 0.8, "weight_decay": 0.1}],
    "Adamax": [{"lr": 0.1, "betas": (0.8, 0.9)}],
    "RAdam": [{"lr": 0.1, "betas": (0.8, 0.9), "decoupled_weight_decay": True}],
    "ADOPT": [{"lr": 0.1, "weight_decay": 0.1}],
    "Lion": [{"lr": 0.1, "weight_decay": 0.1}],
    "Polyak": [{"lr": 0.1, "beta": 0.8}],
    "Nesterov": [{"lr": 0.1, "beta": 0.8}],
}
OWN = ("Polyak", "Nesterov", "ADOPT", "Lion")
CASES = [(name, options) for name, every in OPTIONS.items() for options in every]
SHARED = [case for case in CASES if case[0] not in OWN]
UNFUSED = ("Adadelta", "Adamax", "RAdam", "ADOPT", "Lion")
LOOP = {name: {"foreach": name == "RAdam"} for name in OPTIONS}
"""Torch's for-loop; the equation of RAdam is in the order of its lists of tensors."""


def label(value):
    return ",".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else value


over_cases = pytest.mark.parametrize(("name", "options"), CASES, ids=label)
over_shared = pytest.mark.parametrize(("name", "options"), SHARED, ids=label)


def ours(name):
    return getattr(gradus.optim, name)


def theirs(name):
    return getattr(torch.optim, name)


def start(dtype=torch.float32):
    random = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=random, dtype=dtype) for shape in SHAPES]


def take(optimizer, *, steps=STEPS, seed):
    """Steps on gradients that only the seed determines."""
    random = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad = torch.randn(p.shape, generator=random, dtype=p.dtype)
        optimizer.step()


def values(optimizer):
    return [p.detach().clone() for group in optimizer.param_groups for p in group["params"]]


def through_a_file(state):
    """What torch.save writes and torch.load reads back without pickled code."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def uninterrupted(optimizer, options):
    stepper = optimizer(start(), **options)
    take(stepper, seed=1)
    take(stepper, seed=2)
    return values(stepper)


def assert_same(actual, expected):
    """To the bit."""
    torch.testing.assert_close(actual, expected, rtol=0.0, atol=0.0)


@pytest.mark.parametrize("form", [{}, {"foreach": False}], ids=["default", "loop"])
@pytest.mark.parametrize("towards_torch", [True, False])
@over_shared
def test_the_other_continues_to_the_bit(name, options, towards_torch, form):
    """After some steps, and before the first."""
    mine = lambda params, **o: ours(name)(params, **o, **form)  # noqa: E731
    loop = lambda params, **o: theirs(name)(params, **o, **LOOP[name])  # noqa: E731
    first, second = (mine, loop) if towards_torch else (loop, mine)
    expected = uninterrupted(loop, options)
    for before in (1, 0):
        begun = first(start(), **options)
        if before:
            take(begun, seed=1)
        continued = second(values(begun), lr=7.0)
        continued.load_state_dict(through_a_file(begun.state_dict()))
        # The form belongs to the group, and comes with it.
        for group in continued.param_groups:
            is_torchs = continued.__module__.startswith("torch")
            group["foreach"] = LOOP[name]["foreach"] if is_torchs else None
        if not before:
            take(continued, seed=1)
        take(continued, seed=2)
        assert_same(values(continued), expected)


@over_cases
def test_a_checkpoint_of_ours_is_continued_by_ours(name, options):
    expected = uninterrupted(ours(name), options)
    begun = ours(name)(start(), **options)
    take(begun, seed=1)
    continued = ours(name)(values(begun))
    continued.load_state_dict(through_a_file(begun.state_dict()))
    take(continued, seed=2)
    assert_same(values(continued), expected)


@over_shared
def test_the_keys_are_those_of_torch(name, options):
    optimizers = [make(start(), **options) for make in (ours(name), theirs(name))]
    for steps in (0, 2):
        for optimizer in optimizers:
            take(optimizer, steps=steps, seed=1)
        mine, torchs = (optimizer.state_dict() for optimizer in optimizers)
        assert mine["state"].keys() == torchs["state"].keys()
        for at, held in torchs["state"].items():
            assert mine["state"][at].keys() == held.keys()
            for key, tensor in held.items():
                assert mine["state"][at][key].dtype == tensor.dtype, key
                assert mine["state"][at][key].shape == tensor.shape, key
        for my_group, group in zip(mine["param_groups"], torchs["param_groups"], strict=True):
            assert group.keys() <= my_group.keys()
            assert my_group.keys() - group.keys() <= {"fused"}


FORMS = {"loop": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}


@pytest.mark.parametrize("forms", list(itertools.permutations(FORMS, 2)), ids=" to ".join)
@pytest.mark.parametrize(
    ("name", "options"), [case for case in CASES if case[0] not in UNFUSED], ids=label
)
def test_the_form_may_change_across_a_checkpoint(name, options, forms):
    """The fused kernels round otherwise: a few units in the last place of numbers of order 1."""
    expected = uninterrupted(ours(name), options)
    before, after = (FORMS[form] for form in forms)
    begun = ours(name)(start(), **options, **before)
    take(begun, seed=1)
    state = begun.state_dict()
    for group in state["param_groups"]:
        group.update({"foreach": None, "fused": None} | after)
    continued = ours(name)(values(begun))
    continued.load_state_dict(state)
    assert {group["fused"] for group in continued.param_groups} == {after.get("fused")}
    take(continued, seed=2)
    torch.testing.assert_close(values(continued), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda whole: pickle.loads(pickle.dumps(whole))],
    ids=["deepcopy", "pickle"],
)
@over_cases
def test_a_copy_of_an_optimizer_goes_on_by_itself(name, options, copied):
    begun = ours(name)(start(), **options)
    take(begun, seed=1)
    twin = copied(begun)
    take(begun, seed=2)
    take(twin, seed=2)
    assert_same(values(twin), values(begun))
    assert_same(values(begun), uninterrupted(ours(name), options))
    places = [
        {p.data_ptr() for group in optimizer.param_groups for p in group["params"]}
        for optimizer in (begun, twin)
    ]
    assert not places[0] & places[1]
    # The copy checks its options too.
    twin.param_groups[0]["lr"] = -1.0
    with pytest.raises(ValueError, match="lr"):
        twin.step()


@over_shared
def test_a_group_may_be_added_later(name, options):
    """It begins with its own first step, as in an optimizer of its own."""
    first, second = start()[:2], start()[2:]
    both = ours(name)(first, **options)
    take(both, seed=1)
    both.add_param_group({"params": second, "lr": 0.01})
    alone = theirs(name)(start()[:2], **options, **LOOP[name])
    added = theirs(name)(start()[2:], **(options | {"lr": 0.01}), **LOOP[name])
    take(alone, seed=1)
    random = torch.Generator().manual_seed(3)
    for _ in range(STEPS):
        gradients = [torch.randn(p.shape, generator=random) for p in first + second]
        for optimizer, own in ((alone, gradients[:2]), (added, gradients[2:])):
            for p, g in zip(optimizer.param_groups[0]["params"], own, strict=True):
                p.grad = g
            optimizer.step()
        for p, g in zip(first + second, gradients, strict=True):
            p.grad = g
        both.step()
    assert_same(values(both), values(alone) + values(added))


@over_shared
def test_groups_with_options_of_their_own_are_exchanged(name, options):
    def made(optimizer, **form):
        groups = [{"params": start()[:1], "lr": 0.3}, {"params": start()[1:], **options}]
        return optimizer(groups, **form)

    expected = made(theirs(name), **LOOP[name])
    take(expected, seed=1)
    begun = made(theirs(name), **LOOP[name])
    take(begun, seed=1)
    continued = made(ours(name))
    for group in continued.param_groups:
        group["lr"] = 5.0
    with torch.no_grad():
        for p, value in zip(
            [p for group in continued.param_groups for p in group["params"]],
            values(begun),
            strict=True,
        ):
            p.copy_(value)
    continued.load_state_dict(through_a_file(begun.state_dict()))
    assert [group["lr"] for group in continued.param_groups] == [0.3, options["lr"]]
    take(expected, seed=2)
    take(continued, seed=2)
    assert_same(values(continued), values(expected))


@pytest.mark.parametrize("name", ["Adam", "AdamW", "RMSprop", "Adagrad"])
def test_a_count_of_steps_kept_as_a_number_is_taken(name):
    """As torch kept it up to 1.11; a group of that time misses the options that came later."""
    options = {"lr": 0.1}
    begun = theirs(name)(start(), **options, foreach=False)
    take(begun, seed=1)
    state = begun.state_dict()
    for held in state["state"].values():
        held["step"] = held["step"].item()
    for group in state["param_groups"]:
        for later in ("foreach", "maximize", "capturable", "differentiable", "fused"):
            group.pop(later, None)
        group.pop("decoupled_weight_decay", None)
    continued = ours(name)(values(begun))
    continued.load_state_dict(state)
    take(continued, seed=2)
    assert_same(values(continued), uninterrupted(theirs(name), options | {"foreach": False}))


def test_a_buffer_that_is_none_has_not_begun():
    """As torch 2.0 to 2.3 kept it in checkpoints of SGD."""
    begun = theirs("SGD")(start(), lr=0.1, momentum=0.9)
    state = begun.state_dict()
    state["state"] = {at: {"momentum_buffer": None} for at in range(len(SHAPES))}
    continued = ours("SGD")(start())
    continued.load_state_dict(state)
    take(continued, seed=1)
    take(continued, seed=2)
    expected = uninterrupted(theirs("SGD"), {"lr": 0.1, "momentum": 0.9, "foreach": False})
    assert_same(values(continued), expected)


def test_an_option_switched_on_later_begins_where_it_is_switched_on():
    """Torch has no state for it then and fails."""
    for name, switched, value in (
        ("Adam", "amsgrad", True),
        ("RMSprop", "centered", True),
        ("RMSprop", "momentum", 0.9),
        ("SGD", "momentum", 0.9),
    ):
        optimizer = ours(name)(start(), lr=0.1)
        take(optimizer, seed=1)
        optimizer.param_groups[0][switched] = value
        loop = ours(name)(values(optimizer), foreach=False)
        loop.load_state_dict(through_a_file(optimizer.state_dict()))
        for group in loop.param_groups:
            group["foreach"] = False
        take(optimizer, seed=2)
        take(loop, seed=2)
        assert_same(values(optimizer), values(loop))
        assert all(map(torch.Tensor.isfinite, [v.sum() for v in values(optimizer)])), switched


def test_adam_decays_as_adamw_from_the_step_where_it_is_told_to():
    adam = ours("Adam")(start(), lr=0.1, weight_decay=0.1)
    take(adam, seed=1)
    adamw = ours("AdamW")(values(adam), lr=0.1, weight_decay=0.1)
    state = through_a_file(adam.state_dict())
    state["param_groups"][0]["decoupled_weight_decay"] = True
    adamw.load_state_dict(state)
    adam.param_groups[0]["decoupled_weight_decay"] = True
    take(adam, seed=2)
    take(adamw, seed=2)
    assert_same(values(adam), values(adamw))


@pytest.mark.parametrize("optim", [torch.optim, gradus.optim], ids=["torch", "ours"])
@pytest.mark.parametrize(("begun_as", "decouples"), [("Adam", "AdamW"), ("AdamW", "Adam")])
def test_adamw_decays_apart_whatever_it_loads_and_adam_as_the_checkpoint_says(
    begun_as, decouples, optim
):
    """As in torch: Adam takes over how an AdamW decayed, AdamW never how an Adam did."""
    options = {"lr": 0.1, "weight_decay": 0.5}
    begun = getattr(optim, begun_as)(start(), **options, foreach=False)
    take(begun, seed=1)
    ends = []
    for continued in (ours(decouples)(values(begun)), theirs(decouples)(values(begun))):
        continued.load_state_dict(through_a_file(begun.state_dict()))
        assert continued.param_groups[0]["decoupled_weight_decay"] is True
        take(continued, seed=2)
        ends.append(values(continued))
    assert_same(*ends)


# What is refused.

FOREIGN = [
    (begun, loading)
    for begun, loading in itertools.permutations(OPTIONS, 2)
    if {begun, loading} != {"Adam", "AdamW"}
]
ALIKE = [{"Polyak", "Nesterov"}, {"Adamax", "ADOPT"}]
"""What the options alone do not tell apart."""
ELSEWHERE = {
    "Adafactor": {},
    "ASGD": {},
    "NAdam": {},
    "Rprop": {},
}


def same(optimizer, groups, state):
    """Whether an optimizer is as it was."""
    now = optimizer.state_dict()
    assert now["param_groups"] == groups
    assert now["state"].keys() == state.keys()
    for at, kept in state.items():
        assert_same(now["state"][at], kept)
    return True


def refused(optimizer, state_dict, match):
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError, match=match) as caught:
        optimizer.load_state_dict(state_dict)
    assert "\n" not in str(caught.value)
    assert same(optimizer, before["param_groups"], before["state"])
    take(optimizer, seed=2)


@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize(("begun_as", "loading"), FOREIGN)
def test_a_checkpoint_of_another_class_is_refused(begun_as, loading, steps):
    """By name, before anything has changed; before a first step some are alike."""
    libraries = [ours] if begun_as in OWN else [ours, theirs]
    for library in libraries:
        begun = library(begun_as)(start(), **OPTIONS[begun_as][-1])
        take(begun, steps=steps, seed=1)
        continued = ours(loading)(start(), **OPTIONS[loading][-1])
        take(continued, seed=1)
        if not steps and {begun_as, loading} in ALIKE:
            continued.load_state_dict(through_a_file(begun.state_dict()))
            continue
        refused(
            continued,
            through_a_file(begun.state_dict()),
            rf"this is {loading}, and the state_dict is one of .*\b{begun_as}\b",
        )


@pytest.mark.parametrize("loading", OPTIONS)
@pytest.mark.parametrize("begun_as", ELSEWHERE)
def test_a_checkpoint_of_a_class_that_is_only_torchs_is_refused(begun_as, loading):
    begun = theirs(begun_as)(start(), **ELSEWHERE[begun_as])
    take(begun, steps=1, seed=1)
    refused(ours(loading)(start(), lr=0.1), begun.state_dict(), f"is one of {begun_as}:")


@pytest.mark.parametrize("is_named", [False, True], ids=["by-index", "by-name"])
@pytest.mark.parametrize("name", OPTIONS)
def test_parameters_of_other_shapes_are_refused(name, is_named):
    def params(*shapes):
        found = [torch.nn.Parameter(torch.ones(shape)) for shape in shapes]
        return list(zip(("weight", "bias", "gain"), found, strict=True)) if is_named else found

    begun = ours(name)(params(*SHAPES), **OPTIONS[name][-1])
    take(begun, steps=1, seed=1)
    continued = ours(name)(params((3, 5), (16,), ()), **OPTIONS[name][-1])
    which = "'bias'" if is_named else "1 of group 0"
    refused(
        continued,
        begun.state_dict(),
        rf"of parameter {which} has shape \(17,\), and the parameter \(16,\)",
    )


@over_cases
def test_a_loaded_state_shares_no_memory_with_where_it_came_from(name, options):
    begun = ours(name)(start(), **options)
    take(begun, seed=1)
    state = begun.state_dict()
    kept = copy.deepcopy(state["state"])
    continued = ours(name)(values(begun))
    continued.load_state_dict(state)
    take(continued, seed=2)
    assert same(begun, state["param_groups"], kept)


def test_what_belongs_to_no_parameter_is_kept_as_it_is():
    """As torch keeps it."""
    begun = ours("Adam")(start())
    take(begun, seed=1)
    state = begun.state_dict()
    continued = ours("Adam")(start())
    continued.load_state_dict({**state, "state": {**state["state"], "note": 3}})
    assert continued.state["note"] == 3


# A model, as people train it.


def network(seed):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))


def epoch(model, optimizer, *, seed):
    random = torch.Generator().manual_seed(seed)
    for _ in range(5):
        x = torch.randn(16, 6, generator=random)
        y = torch.randint(3, (16,), generator=random)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()


def test_a_model_trained_with_torch_is_continued_here_and_with_torch_again():
    whole = network(0)
    optimizer = torch.optim.Adam(whole.parameters(), lr=0.01, foreach=False)
    for at in range(3):
        epoch(whole, optimizer, seed=at)

    checkpoint = None
    for at, make in enumerate((torch.optim.Adam, gradus.optim.Adam, torch.optim.Adam)):
        model = network(at + 7)
        if checkpoint is None:
            model.load_state_dict(network(0).state_dict())
        optimizer = make(model.parameters(), lr=0.01, foreach=False)
        if checkpoint is not None:
            model.load_state_dict(checkpoint["model"])
            optimizer.load_state_dict(checkpoint["optimizer"])
        epoch(model, optimizer, seed=at)
        checkpoint = through_a_file(
            {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        )
    assert_same(list(model.parameters()), list(whole.parameters()))


def test_nesterov_saves_its_iterate_and_continues_from_the_query():
    """The model saved within at_iterate is w_t; the checkpoint of training holds y_t and w_t."""
    p = torch.tensor([8.0, -3.0])
    optimizer = gradus.optim.Nesterov([p], lr=0.1, beta=0.5)
    for _ in range(3):
        p.grad = 2 * p
        optimizer.step()
    iterate = optimizer.state_dict()["state"][0]["iterate"]
    query = p.clone()
    with optimizer.at_iterate():
        assert_same(p, iterate)
    assert_same(p, query)
    assert not torch.equal(query, iterate)
