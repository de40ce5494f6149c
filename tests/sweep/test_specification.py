"""The schema of a sweep: the same from every source, and what is wrong said with its line."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradus import InputError, RunSpec
from gradus.sweep import Point, SweepSpec, from_options, read_toml, runs_of, to_toml
from gradus.sweep.ranges import Range
from gradus.sweep.values import alternatives

LECTURE = Path(__file__).parents[2] / "examples" / "lecture.toml"


@pytest.mark.parametrize(
    ("option", "written", "values"),
    [
        ("lr", "10,0.1,0.001", (10.0, 0.1, 0.001)),
        ("lr", [10, "0.1"], (10.0, 0.1)),
        ("lr", 0.1, (0.1,)),
        ("lr", np.array([0.1, 0.01]), (0.1, 0.01)),
        ("batch_size", range(1, 4), (1, 2, 3)),
        ("lr", "0.1,0.10,1e-1", (0.1,)),
        ("lr", "log:1e-5:1:6", (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)),
        ("lr", "log:1e-3:0.1:3,10", (0.001, 0.01, 0.1, 10.0)),
        ("momentum", "lin:0:0.9:4", (0.0, 0.3, 0.6, 0.9)),
        ("lr", "log:1e-5:1", ("log:1e-5:1",)),
        ("batch_size", "16, 64,256", (16, 64, 256)),
        ("batch_size", "log:16:256:5", (16, 32, 64, 128, 256)),
        ("epochs", "lin:1:3:7", (1, 2, 3)),
        ("method", "sgd,adam", ("sgd", "adam")),
        ("penalty", "none,l1", ("none", "l1")),
        ("hidden", "64;512,512", ((64,), (512, 512))),
        ("hidden", [[64], [512, 512]], ((64,), (512, 512))),
        ("hidden", [64, "512,512"], ((64,), (512, 512))),
        ("betas", "0.9,0.999;0.8,0.99", ((0.9, 0.999), (0.8, 0.99))),
        ("drop", "id,street;id", (("id", "street"), ("id",))),
        ("target", "price, net;price", ("price, net", "price")),
        ("data", "log:1:2", ("log:1:2",)),
        ("nesterov", "true,false", (True, False)),
        ("nesterov", True, (True,)),
    ],
)
def test_values_are_read_as_a_run_reads_them(option, written, values):
    read = alternatives(option, written)
    assert read == values
    assert [*map(type, read)] == [*map(type, values)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": "0.1,fast"}, "--lr fast: must be a valid number"),
        ({"lr": ""}, "--lr: has no value; give some, as A,B"),
        ({"hidden": ";"}, "--hidden: has no value; give some, as A;B"),
        ({"lrs": "0.1"}, "--lrs: no such option (did you mean --lr?)"),
        ({"method": "sgd,adamm"}, "did you mean adam?"),
        ({"lr": "log:0:1:3"}, "--lr log:0:1:3: a log range begins above 0, as log:1e-5:1:7"),
        ({"lr": "log:1:0.1:3"}, "a range goes from a number to a greater one"),
        ({"lr": "lin:0:1:1"}, "a range has at least 2 values"),
        ({"lr": "lin:0"}, "--lr lin:0: not a range"),
        ({"lr": "lin:0:1:2:3"}, "not a range"),
        ({"lr": "lin:a:b:3"}, "not a range"),
        ({"batch_size": "log:0.5:8:3"}, "--batch-size 0.5: must be a valid integer"),
        ({"lr": "log:1e-5:1,3", "search": "random", "trials": 2}, "log:1e-5:1 has no count"),
        ({"lr": "log:1e-5:1"}, "--lr log:1e-5:1: how many values? Write log:1e-5:1:7"),
        ({"lr": "0.1"}, "nothing varies: give an option several values"),
        ({}, "nothing varies"),
        ({"lr": "1,2", "search": "gird"}, "--search gird: choose grid | one-at-a-time"),
        ({"lr": "1,2", "search": "random"}, "--search random needs --trials"),
        ({"lr": "1", "search": "optuna", "trials": 3}, "--search optuna needs an option to vary"),
        ({"lr": "1,2", "trials": "3"}, "--trials needs --search random or optuna"),
        ({"lr": "1,2", "trials": "0", "search": "random"}, "--trials 0: must be greater than"),
        ({"lr": "1,2", "storage": "sqlite:///x"}, "--storage needs --search optuna"),
        ({"lr": "1,2", "sampler": "gp"}, "--sampler needs --search optuna"),
        ({"seed": "1,2", "seeds": 3}, "--seeds is given, and --seed varies"),
        ({"lr": "1,2", "seeds": 0}, "--seeds 0: must be greater than or equal to 1"),
        ({"threshold": "0.2,f1"}, "--threshold decides once a run is trained, and no measure"),
        ({"lr": "1,2", "eta": 2}, "--eta needs --prune"),
        ({"lr": "1,2", "first_rung": 2}, "--first-rung needs --prune"),
        ({"epochs": "1,2", "prune": "asha"}, "--prune compares runs of the same length"),
        (
            {"lr": "1,2", "epochs": 4, "prune": "asha", "first_rung": 4},
            "--first-rung 4: nothing would be compared, of --epochs 4",
        ),
        (
            {"lr": "1,2", "prune": "halving", "search": "optuna", "trials": 9},
            "take --prune asha with --search optuna",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(options, message):
    with pytest.raises(InputError) as caught:
        from_options(options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_options_with_one_value_are_the_base_and_those_with_several_vary():
    spec = from_options(
        {"data": "digits", "lr": "1,0.1", "epochs": "3", "momentum": None, "seeds": "2"}
    )
    assert spec.base == {"measure": "validation-loss", "data": "digits", "epochs": 3}
    assert spec.vary == {"lr": (1.0, 0.1)}
    assert spec.seeds == 2


def test_options_change_a_file_at_all_of_its_points():
    lecture = read_toml(LECTURE)
    changed = from_options({"epochs": "1", "lr": "0.5", "search": "grid"}, lecture)
    runs = runs_of(changed)
    assert {(run.epochs, run.lr) for run in runs} == {(1, 0.5)}
    assert len(runs) == 3 * 3 + 3
    assert from_options({}, lecture) == lecture
    several = runs_of(from_options({"lr": "0.5,0.25"}, lecture))
    assert {run.lr for run in several if run.method == "adam"} >= {0.5, 0.25}


@pytest.mark.parametrize(
    "spec",
    [
        SweepSpec(vary={"lr": (0.1, 0.3, 1 / 3)}),
        SweepSpec(base={"target": 'a "b"\\\n\té\x7f'}, vary={"hidden": "64;5,5"}),
        SweepSpec(vary={"nesterov": (True, False), "penalty": "none,l1"}, seeds=3),
        SweepSpec(vary={"lr": "log:1e-5:1"}, search="random", trials=3),
        SweepSpec(
            vary={"lr": "log:1e-5:1"},
            search="optuna",
            trials=3,
            sampler="gp",
            storage="sqlite:///a.db",
            prune="asha",
            eta=2,
            first_rung=2,
        ),
        SweepSpec(base={"epochs": 2}, around=(Point(base={"lr": 1}), Point(vary={"lr": "1,2"}))),
        read_toml(LECTURE),
    ],
)
def test_a_sweep_survives_toml(spec, tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(to_toml(spec), encoding="utf-8")
    assert read_toml(path) == spec


@pytest.fixture(scope="module")
def sweep_file(tmp_path_factory):
    """Where every example writes: a folder for each would cost more than what is tested."""
    return tmp_path_factory.mktemp("toml") / "sweep.toml"


# A machine with much else to do draws slowly, and that is no fault of the strategy's.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(numbers=st.lists(st.floats(1e-300, 1e300), min_size=1, max_size=8))
def test_every_number_survives_toml(sweep_file, numbers):
    spec = SweepSpec(vary={"lr": numbers})
    sweep_file.write_text(to_toml(spec))
    assert read_toml(sweep_file).vary["lr"] == tuple(dict.fromkeys(numbers))


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("vray = 1\n[vary]\nlr = [1, 2]\n", 1, "vray: no such key (did you mean vary?)"),
        ("[vary]\nlr = [1, 2]\n\n[base]\n# lrr\nmomentm = 1\n", 6, "did you mean --momentum?"),
        ("lr = 0.1\n", 1, "lr: is an option of runs: write it under base or vary"),
        ("seeds = 0\n[vary]\nlr = [1, 2]\n", 1, "--seeds 0: must be greater"),
        ("[vary]\nmomentum = [\n 0,\n 0.9,\n]\nlr = [\n  1,\n  'fast',\n]\n", 6, "--lr fast"),
        ("[vary]\nlr = []\n", 2, "--lr: has no value"),
        ("[base]\nbatch-size = 0\n", 2, "--batch-size 0: must be"),
        ("[[around]]\nbase.lr = 1\n[[around]]\nbase.lr = 1\nbase.l = 2\n", 5, "--l: no such"),
        ("[[around]]\nbase.lr = 1\n[[around]]\nbse.lr = 1\n", 4, "bse: no such key (did you"),
        ("[vary]\nlr = 'log:1:2'\n", None, "--lr log:1:2: how many values?"),
        ("trials = 3\n[vary]\nlr = [1, 2]\n", 1, "--trials needs --search"),
        ("base = 3\n", 1, "base: is no table of options"),
        ("[[around]]\nvary = 3\n", 2, "vary: is no table of options"),
        ("around = 3\n", 1, "around: is no table of options"),
        ("seeds = \n", None, "at line 1"),
        ("[base]\nlr = 1\nlr = 2\n", None, "at line 3"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_line(tmp_path, text, line, message):
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_toml(path)
    said = str(caught.value)
    assert message in said
    assert said.startswith(f"{path}, line {line}: " if line else f"{path}: ")
    assert "\n" not in said


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=re.escape("sweep.toml: no such file")):
        read_toml(tmp_path / "sweep.toml")


def test_keys_may_be_written_as_on_the_command_line(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text("first-rung = 2\nprune = 'asha'\n[vary]\nbatch-size = '8,16'\n")
    spec = read_toml(path)
    assert (spec.first_rung, spec.vary) == (2, {"batch_size": (8, 16)})


@given(
    st.floats(1e-6, 1e6), st.floats(1.01, 1e6), st.integers(2, 30), st.sampled_from(["log", "lin"])
)
def test_ranges_rise_evenly_on_their_scale_between_their_bounds(low, factor, count, scale):
    values = Range(scale, low, low * factor, count).values()
    assert (values[0], values[-1]) == (low, low * factor)
    assert list(values) == sorted(set(values))
    at = [math.log(value) if scale == "log" else value for value in values]
    if len(values) == count:
        step = (at[-1] - at[0]) / (count - 1)
        # Values between stand with 6 digits.
        slack = 1e-5 if scale == "log" else 1e-5 * values[-1]
        assert all(abs(at[i] - at[0] - i * step) <= slack for i in range(count))


@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from(["log", "lin"]))
def test_whole_ranges_give_each_whole_number_between_their_bounds(low, width, scale):
    drawn = Range(scale, low, low + width)
    values = [drawn.at(i / 4000, whole=True) for i in range(4000)]
    assert sorted(set(values)) == list(range(low, low + width + 1))
    if scale == "lin":
        counts = [values.count(value) for value in set(values)]
        assert max(counts) - min(counts) <= 2


def test_every_option_of_a_run_can_be_swept():
    for option, field in RunSpec.model_fields.items():
        if field.default is not None and field.default != ():
            assert alternatives(option, [field.default]) == (field.default,)
