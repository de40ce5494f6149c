"""Which runs there are: by hand, and against sets written down by their definition."""

from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradus import InputError, RunSpec
from gradus.runs.choices import OPTIONS
from gradus.runs.spec import run_id
from gradus.sweep import Point, SweepSpec, panels_of, read_toml, runs_of

# What every sweep says of its runs, where nothing else is said.
CHOICE = {"measure": "validation-loss", "validation_fraction": 0.15}
LECTURE = Path(__file__).parents[2] / "examples" / "lecture.toml"


def seen(spec, *options):
    return [tuple(getattr(run, option) for option in options) for run in runs_of(spec)]


def test_the_lecture_is_16_curves_in_5_panels_and_13_runs():
    spec = read_toml(LECTURE)
    runs = runs_of(spec)
    shared = {"data": "fashion-mnist", "epochs": 10, "measure": "test-loss"}
    shared["validation_fraction"] = 0
    sgd = {"method": "sgd", "lr": 0.001, "momentum": 0.5, "batch_size": 16}
    adam = {"method": "adam", "lr": 0.001, "batch_size": 16}
    axes = [
        (sgd, "batch_size", (16, 64, 256)),
        (sgd, "lr", (10, 0.1, 0.001)),
        (sgd, "momentum", (0, 0.5, 0.9)),
        (adam, "batch_size", (16, 64, 256)),
        (adam, "lr", (0.1, 0.01, 0.001, 0.00001)),
    ]
    expected = [
        [RunSpec(**shared, **base | {option: value}) for value in values]
        for base, option, values in axes
    ]
    assert runs == list(dict.fromkeys(run for panel in expected for run in panel))
    assert len(runs) == 13
    panels = panels_of(spec)
    assert [panel.runs for panel in panels] == [
        tuple((run_id(run),) for run in panel) for panel in expected
    ]
    assert sum(len(panel.values) for panel in panels) == 16
    assert [(panel.option, panel.values) for panel in panels] == [axis[1:] for axis in axes]
    assert panels[0].title == "SGD: batch size (lr 0.001, momentum 0.5)"
    assert panels[4].title == "Adam: lr (batch size 16)"


def test_a_grid_is_the_product_in_the_order_written():
    spec = SweepSpec(base={"epochs": 2}, vary={"batch_size": "16,64", "lr": "1,0.1,0.01"})
    assert seen(spec, "batch_size", "lr") == list(product((16, 64), (1.0, 0.1, 0.01)))
    assert panels_of(spec) == []


def test_each_configuration_is_repeated_with_the_seeds_that_follow():
    spec = SweepSpec(base={"seed": 7}, vary={"lr": "1,2"}, seeds=3)
    assert seen(spec, "lr", "seed") == list(product((1.0, 2.0), (7, 8, 9)))
    panels = panels_of(spec.model_copy(update={"search": "one-at-a-time"}))
    assert [len(runs) for runs in panels[0].runs] == [3, 3]


def test_seeds_alone_are_a_sweep():
    assert seen(SweepSpec(seeds=2), "seed") == [(0,), (1,)]


@pytest.mark.parametrize(
    ("base", "vary", "options", "expected"),
    [
        (
            {"momentum": 0.9},
            {"method": "sgd,adam"},
            ("method", "momentum"),
            [("sgd", 0.9), ("adam", None)],
        ),
        (
            {},
            {"momentum": "0,0.9", "method": "sgd,adam,polyak", "beta": "0.5"},
            ("method", "momentum", "beta"),
            [("sgd", 0.0, None), ("adam", None, None), ("polyak", None, 0.5), ("sgd", 0.9, None)],
        ),
        (
            {},
            {"penalty": "none,l1", "strength": "0.1,0.2"},
            ("penalty", "strength"),
            [(None, None), ("l1", 0.1), ("l1", 0.2)],
        ),
        (
            {},
            {"sampling": "shuffle,full", "batch_size": "8,16"},
            ("sampling", "batch_size"),
            [("shuffle", 8), ("shuffle", 16), ("full", None)],
        ),
        (
            {"hidden": (32,)},
            {"model": "linear,mlp,mynet:make"},
            ("model", "hidden"),
            [("linear", None), ("mlp", (32,)), ("mynet:make", None)],
        ),
        (
            {},
            {"schedule": "constant,step", "decay_every": "5,10"},
            ("schedule", "decay_every"),
            [("constant", None), ("step", 5), ("step", 10)],
        ),
        (
            {},
            {"method": "sgd,lbfgs"},
            ("method", "lr", "sampling", "batch_size"),
            [("sgd", 0.001, "shuffle", 16), ("lbfgs", 1.0, "full", None)],
        ),
    ],
)
def test_options_that_a_varying_choice_does_not_take_are_left_out(base, vary, options, expected):
    assert seen(SweepSpec(base=base, vary=vary), *options) == expected


def test_options_given_for_all_points_are_left_out_where_they_have_no_meaning():
    points = (Point(base={"method": "sgd"}), Point(base={"method": "adam"}))
    spec = SweepSpec(base={"momentum": 0.9}, vary={"momentum": "0,0.5", "lr": "1,2"}, around=points)
    assert seen(spec, "method", "momentum", "lr") == [
        *product(("sgd",), (0.0, 0.5), (1.0, 2.0)),
        *product(("adam",), (None,), (1.0, 2.0)),
    ]
    moved = spec.model_copy(update={"search": "one-at-a-time"})
    assert seen(moved, "method", "momentum", "lr") == [
        ("sgd", 0.0, 0.001),
        ("sgd", 0.5, 0.001),
        ("sgd", 0.9, 1.0),
        ("sgd", 0.9, 2.0),
        ("adam", None, 1.0),
        ("adam", None, 2.0),
    ]
    assert [panel.title for panel in panels_of(moved)] == [
        "SGD: momentum (lr 0.001)",
        "SGD: lr (momentum 0.9)",
        "Adam: lr",
    ]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"base": {"method": "adam"}, "vary": {"momentum": "0,0.9"}},
            "--momentum is not an option of --method adam, which takes --lr, --betas, --eps, "
            "--weight-decay, --amsgrad, --maximize (with --momentum 0)",
        ),
        (
            {"vary": {"method": "adam,adamw", "momentum": (0.9,)}},
            "--momentum is not an option of --method adam",
        ),
        (
            {"vary": {"nesterov": "true,false", "momentum": "0.9,0"}},
            "needs momentum > 0 and dampening 0 (with --nesterov True --momentum 0)",
        ),
        (
            {"around": [{"base": {"method": "sgd"}}, {"base": {"method": "adam", "momentum": 1}}]},
            "--momentum is not an option of --method adam",
        ),
        (
            {"vary": {"method": "sgd,adam", "amsgrad": "true,false"}, "search": "one-at-a-time"},
            "--amsgrad is not an option of --method sgd",
        ),
        ({"vary": {"penalty": "none,l1"}}, "--penalty l1 needs --strength (with --penalty l1)"),
        (
            {"vary": {"lr": "1,2"}, "search": "random", "trials": 3},
            "--trials 3: there are 2 different runs",
        ),
        (
            {"vary": {"batch_size": "lin:1:4"}, "search": "random", "trials": 5},
            "--trials 5: there are 4 different runs",
        ),
        (
            {"vary": {"lr": "1,2"}, "search": "optuna", "trials": 3},
            "--search optuna: proposes its runs one after another",
        ),
    ],
)
def test_what_makes_no_run_is_said_in_one_line(spec, message):
    with pytest.raises(InputError) as caught:
        runs_of(SweepSpec(**spec))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_at_a_time_moves_from_the_base_and_its_defaults():
    spec = SweepSpec(vary={"method": "sgd,adam", "lr": "1,2"}, search="one-at-a-time")
    assert seen(spec, "method", "lr") == [
        ("sgd", 0.001),
        ("adam", 0.001),
        ("sgd", 1.0),
        ("sgd", 2.0),
    ]
    assert panels_of(spec)[0].title == "method (lr 0.001)"


RANDOM = {"lr": "log:1e-5:1", "method": "sgd,adam", "momentum": "lin:0:0.9", "batch_size": "8,16"}


@pytest.mark.parametrize(
    "vary",
    [
        RANDOM,
        {"lr": "1,2,3,4,5", "batch_size": "lin:1:4:4"},
        {"batch_size": "log:1:64"},
    ],
)
def test_a_longer_random_sweep_begins_with_the_shorter(vary):
    sweeps = [
        SweepSpec(vary=vary, search="random", trials=trials, base={"seed": 3}) for trials in (5, 12)
    ]
    short, long = map(runs_of, sweeps)
    assert (len(short), len(set(long))) == (5, 12)
    assert long[:5] == short == runs_of(sweeps[0])
    assert runs_of(sweeps[0].model_copy(update={"base": {"seed": 4}})) != short


def test_random_runs_are_uniform_on_the_scale_of_their_ranges():
    runs = runs_of(SweepSpec(vary=RANDOM, search="random", trials=2000))
    # 5 standard errors of a share of one half in 2000 draws; of a quarter it is less.
    slack = 5 * (0.25 / 2000) ** 0.5
    assert abs(sum(run.lr < 10**-2.5 for run in runs) / 2000 - 0.5) < slack
    assert abs(sum(run.method == "adam" for run in runs) / 2000 - 0.5) < slack
    assert abs(sum((run.momentum or 0) > 0.45 for run in runs) / 2000 - 0.25) < slack
    assert all(1e-5 <= run.lr <= 1 for run in runs)


VALUES = {
    "method": ["sgd", "adam", "polyak", "rmsprop"],
    "lr": [0.1, 1.0],
    "momentum": [0.0, 0.9],
    "beta": [0.5, 0.9],
    "sampling": ["shuffle", "full"],
    "batch_size": [8, 16],
    "penalty": ["none", "l1", "l2"],
    "strength": [0.1, 0.2],
}


@settings(deadline=None)
@given(st.fixed_dictionaries({"method": st.just(VALUES["method"])}, optional={
    name: st.lists(st.sampled_from(values), min_size=1, unique=True)
    for name, values in VALUES.items()
    if name not in ("method", "strength")
}))  # fmt: skip
def test_a_grid_holds_every_combination_that_has_meaning_once(vary):
    vary = {"strength": [0.1, 0.2], "penalty": ["none", "l1"], "sampling": ["full", "shuffle"]} | (
        vary
    )
    if "none" not in vary["penalty"] or len(vary["penalty"]) == 1:
        vary["penalty"] = ["none", "l1"]
    if len(vary["sampling"]) == 1:
        vary["sampling"] = ["full", "shuffle"]
    expected = set()
    for values in product(*vary.values()):
        options = dict(zip(vary, values, strict=True))
        for choice in ("method", "sampling", "penalty"):
            taken = OPTIONS[choice][options[choice]]
            owned = {option for table in OPTIONS[choice].values() for option in table}
            options = {k: v for k, v in options.items() if k not in owned or k in taken}
        if options["penalty"] == "none":
            del options["penalty"]
        expected.add(RunSpec(**options, **CHOICE))
    runs = runs_of(SweepSpec(vary=vary))
    assert len(runs) == len(set(runs))
    assert set(runs) == expected


def test_ids_are_those_of_the_canonical_json():
    import hashlib
    import json

    spec = RunSpec(method="adam", hidden=(5, 4))
    text = json.dumps(json.loads(spec.model_dump_json()), sort_keys=True).replace(" ", "")
    assert run_id(spec) == hashlib.sha256(text.encode()).hexdigest()[:16]
    runs = runs_of(SweepSpec(vary={"lr": "log:1e-5:1:50", "momentum": "lin:0:0.9:20"}))
    assert len(set(map(run_id, runs))) == len(runs) == 1000
