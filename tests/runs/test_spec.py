"""The schema: complete, refusing what has no meaning, the same from every source."""

import json
import math
import re

import pytest
import torch

from gradus import InputError, RunSpec, methods
from gradus.data import SAMPLINGS
from gradus.methods.catalogue import entries
from gradus.risk import losses, penalties
from gradus.runs.choices import OPTIONS
from gradus.runs.parts.method import IN_RUNS, has_one_rate
from gradus.runs.parts.objective import LOSS_CLASSES, PENALTY_CLASSES
from gradus.runs.parts.schedule import SCHEDULE_CLASSES
from gradus.runs.parts.training import SamplingName
from gradus.runs.spec import choices


def test_the_defaults_are_those_of_the_training_script():
    spec = RunSpec()
    assert (spec.data, spec.model, spec.hidden, spec.method) == ("digits", "mlp", (512, 512), "sgd")
    assert (spec.lr, spec.momentum, spec.batch_size, spec.epochs) == (0.001, 0.5, 16, 10)
    assert (spec.sampling, spec.seed, spec.log_every) == ("shuffle", 0, None)
    assert spec.title == "Optimizer-SGD lr-0.001 mt-0.5 bs-16"


RUNS = [
    *((90, 2), (90, 10), (90, 100), (4000, 3), (30, 200), (313, 7)),
    *((1, 1), (1, 900), (20_000, 1)),
]


@pytest.mark.parametrize(("per_epoch", "epochs"), RUNS)
def test_a_run_has_200_rows_where_it_has_200_steps_and_about_2000_at_most(per_epoch, epochs):
    every = RunSpec(epochs=epochs).batches_between_rows("table.csv", per_epoch * epochs)
    rows = epochs * len(range(0, per_epoch, every))
    assert min(200, per_epoch * epochs) <= rows <= 2_000 + epochs


def test_the_classical_training_and_what_is_given_keep_their_rows():
    assert RunSpec().batches_between_rows("fashion-mnist", 37_500) == 100
    assert RunSpec(log_every=7).batches_between_rows("fashion-mnist", 37_500) == 7


@pytest.mark.parametrize(
    ("options", "title"),
    [
        ({"method": "adam", "lr": 1e-5, "batch_size": 64}, "Optimizer-Adam lr-0.00001 bs-64"),
        ({"lr": 10.0, "momentum": 0.0}, "Optimizer-SGD lr-10 mt-0 bs-16"),
        ({"method": "polyak", "beta": 0.99}, "Optimizer-Polyak lr-0.001 mt-0.99 bs-16"),
        (
            {"method": "gradient-descent", "sampling": "full"},
            "Optimizer-GradientDescent lr-0.001 bs-full",
        ),
    ],
)
def test_titles(options, title):
    assert RunSpec(**options).title == title


def test_names_agree_with_the_rooms_that_own_them():
    assert set(choices(SamplingName)) == set(SAMPLINGS)
    classes = {entry.name: entry.class_name for entry in entries().values()}
    for choice, table, room in (
        ("method", classes, methods),
        ("schedule", SCHEDULE_CLASSES, methods),
        ("loss", LOSS_CLASSES, losses),
        ("penalty", PENALTY_CLASSES, penalties),
    ):
        assert set(choices(RunSpec.model_fields[choice].annotation)) == set(table)
        for name in table.values():
            assert hasattr(room, name)


@pytest.mark.parametrize("method", OPTIONS["method"])
def test_an_option_says_what_it_means_to_each_method_that_has_it(method):
    for field in entries()[method].hyperparameters:
        told = RunSpec.model_fields[field.name].description
        meaning = IN_RUNS.get(field.name, field.meaning)
        owners = re.search(re.escape(meaning) + r" \(([a-z, -]*)\)", told)
        assert told == meaning or method in owners[1].split(", ")


NEEDED = {
    "step": {"decay_every": 5, "warmup": 2},
    "exponential": {"decay_factor": 0.5, "warmup": 2},
    "inverse-time": {"gamma": 0.5, "warmup": 2},
    "warm-restarts": {"period": 5, "warmup": 2},
    "one-cycle": {"start_divisor": 2.0},  # which warms up itself
}


@pytest.mark.parametrize("method", OPTIONS["method"])
@pytest.mark.parametrize("schedule", OPTIONS["schedule"])
def test_every_method_is_built_with_every_schedule(method, schedule):
    needed = NEEDED.get(schedule, {"warmup": 2})
    if method == "proximal-gradient":
        needed |= {"penalty": "l1", "strength": 0.1}
    if has_one_rate(method):
        with pytest.raises(InputError, match=f"^schedule: {method} takes one learning rate for"):
            RunSpec(method=method, schedule=schedule, lr=0.25, **needed)
        return
    spec = RunSpec(method=method, schedule=schedule, lr=0.25, **needed)
    built = spec.build_method(steps=10)
    assert type(built).__name__ == entries()[method].class_name
    assert built.lr(0) == pytest.approx(0.125)  # half of the way up


@pytest.mark.parametrize("schedule", ["cosine", "linear", "polynomial", "stable-decay"])
def test_a_schedule_that_falls_to_a_rate_ends_with_the_run(schedule):
    lr = RunSpec(schedule=schedule, lr=0.1, final_lr=0.01).build_method(steps=40).lr
    assert lr(0) == pytest.approx(0.1)
    assert lr(40) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "sdg"}, "--method sdg: choose adadelta | adamax | adam | adamw"),
        ({"method": "sdg"}, "did you mean sgd?"),
        ({"sam": 0.1, "lookahead": 5}, "--sam does not go with --lookahead: give one of them"),
        (
            {"average": "all", "ema": 0.9},
            "--average does not go with --ema, another mean: give one",
        ),
        ({"lookahead": 5, "method": "polyak"}, "lookahead does not go with Polyak, which takes"),
        ({"sam": 0.1, "method": "newton"}, "--sam needs a first-order method, which newton is"),
        ({"method": "adam", "momentum": 0.9}, "--momentum is not an option of --method adam"),
        ({"method": "adam", "momentum": 0.9}, "which takes --lr, --betas, --eps"),
        ({"method": "ftrl", "lr": "auto"}, "--lr auto: is found by rates that grow from step to"),
        ({"momentm": 0.9}, "--momentm: no such option (did you mean --momentum?)"),
        ({"lr": -0.1}, "--lr must be a finite number >= 0, not -0.1"),
        ({"lr": math.nan}, "--lr nan: must be a finite number"),
        ({"lr": "fast"}, "--lr fast: must be a valid number"),
        ({"batch_size": 0}, "--batch-size 0: must be greater than or equal to 1"),
        ({"sampling": "full", "batch_size": 3}, "--batch-size is not an option of --sampling full"),
        ({"model": "linear", "hidden": "5"}, "--hidden is not an option of --model linear"),
        ({"model": "linear", "dropout": 0.5}, "--dropout is not an option of --model linear"),
        ({"dropout": 1.0}, "--dropout 1.0: must be less than 1"),
        ({"hidden": "5,x"}, "--hidden x: must be a valid integer"),
        ({"penalty": "l1"}, "--penalty l1 needs --strength"),
        ({"strength": 0.1}, "--strength needs --penalty: l1 | l2 | squared-l2 | elastic-net"),
        ({"schedule": "step"}, "--schedule step needs --decay-every"),
        ({"penalty": "l1", "strength": 1, "l1_ratio": 0.5}, "--l1-ratio is not an option"),
        ({"l1_ratio": 0.5}, "--l1-ratio needs --penalty: elastic-net"),
        ({"label_smoothing": 1}, "--label-smoothing 1: must be less than 1"),
        ({"label_smoothing": 0.1, "loss": "mse"}, "--label-smoothing is not an option of --loss"),
        ({"label_smoothing": 0.1, "loss": "nll"}, "nll, which takes --class-weight"),
        ({"delta": 1.0}, "--delta needs --loss: huber"),
        ({"delta": 0, "loss": "huber"}, "--delta 0: must be greater than 0"),
        ({"quantile": 1, "loss": "pinball"}, "--quantile 1: must be less than 1"),
        ({"class_weight": "a=2", "loss": "l1"}, "l1, which takes no options"),
        ({"class_weight": "even"}, "--class-weight even: give balanced, or what each class counts"),
        ({"class_weight": "balanced,a=2"}, "--class-weight balanced: give balanced, or"),
        ({"class_weight": "a=-1"}, "--class-weight a=-1: give balanced, or"),
        ({"class_weight": "a=nan"}, "--class-weight a=nan: give balanced, or"),
        ({"class_weight": {"a": "x"}}, "--class-weight a=x: give balanced, or"),
        ({"class_weight": "=2"}, "--class-weight =2: give balanced, or"),
        ({"class_weight": "a=1,a=2"}, "--class-weight a: is given twice"),
        ({"final_lr": 0.1}, "--final-lr is not an option of --schedule constant"),
        ({"method": "adam", "betas": "0.9"}, "--betas 0.9: must be two numbers"),
        ({"method": "adam", "betas": "0.9,1"}, "--betas[1] must be a finite number >= 0 and < 1"),
        ({"nesterov": True, "momentum": 0}, "--nesterov needs momentum > 0"),
        ({"engine": "fast"}, "--engine fast: choose auto | eager | native"),
        ({"method": ["sgd"]}, "--method ['sgd']: choose adadelta"),
        ({"method": methods.Adam(0.1)}, "--method: an object of Adam, where a spec takes a name"),
        (
            {"data": (1, 2)},
            "--data: an object of tuple, where a spec takes a name; give it",
        ),
        ({"seed": -1}, "--seed -1: must be greater than or equal to 0"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(options, message):
    with pytest.raises(InputError) as caught:
        RunSpec.read(options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError) as caught:
        RunSpec(**options)
    assert "\n" not in str(caught.value)
    assert "--" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"method": "adam", "betas": (0.8, 0.99), "schedule": "cosine", "warmup": 5},
        {"penalty": "elastic-net", "strength": 0.1, "model": "linear"},
        {"data": "houses.csv", "target": "price", "drop": ("id", "street"), "sampling": "full"},
        {"model": "mynet:make", "loss": "nll"},
        {"loss": "cross-entropy", "label_smoothing": 0.1, "class_weight": "yes=2,no=0.5"},
        {"class_weight": "balanced"},
    ],
)
def test_a_spec_survives_json_and_toml(options, tmp_path):
    spec = RunSpec(**options)
    (tmp_path / "run.json").write_text(json.dumps({"spec": spec.model_dump(mode="json")}))
    assert RunSpec.read_file(tmp_path / "run.json", {}, trust=True) == spec
    lines = [f"{key} = {json.dumps(value)}" for key, value in options.items()]
    (tmp_path / "run.toml").write_text("\n".join(lines))
    assert RunSpec.read_file(tmp_path / "run.toml", {}, trust=True) == spec


def test_a_toml_may_write_its_keys_as_the_command_line_does(tmp_path):
    (tmp_path / "run.toml").write_text("batch-size = 32\n")
    assert RunSpec.read_file(tmp_path / "run.toml", {}).batch_size == 32


def test_changes_to_a_file_take_the_options_of_a_changed_choice_with_them(tmp_path):
    (tmp_path / "run.toml").write_text('method = "sgd"\nlr = 0.5\nmomentum = 0.9\nepochs = 3\n')
    spec = RunSpec.read_file(tmp_path / "run.toml", {"method": "adam"})
    assert (spec.method, spec.lr, spec.momentum, spec.epochs) == ("adam", 0.5, None, 3)


@pytest.mark.parametrize(
    ("options", "method", "expected"),
    [
        ({"method": "sgd"}, "lbfgs", ("full", None, 1.0)),
        ({"method": "lbfgs"}, "sgd", ("shuffle", 16, 0.001)),
        ({"method": "sgd", "batch_size": 64, "lr": 0.5}, "lbfgs", ("shuffle", 64, 0.5)),
        ({"method": "adam"}, "adagrad", ("shuffle", 16, 0.01)),
        ({"method": "lbfgs", "sampling": "sequential"}, "newton", ("sequential", 16, 1.0)),
        ({"method": "sgd", "momentum": 0.9}, "sgd", ("shuffle", 16, 0.001)),
    ],
)
def test_another_method_takes_its_own_defaults_for_what_stood_at_the_old_ones(
    tmp_path, options, method, expected
):
    (tmp_path / "run.json").write_text(f'{{"spec": {RunSpec(**options).model_dump_json()}}}')
    spec = RunSpec.read_file(tmp_path / "run.json", {"method": method})
    assert (spec.sampling, spec.batch_size, spec.lr) == expected


@pytest.mark.parametrize(
    ("options", "kind", "inner"),
    [
        (
            {"method": "adam", "penalty": "l1", "strength": 0.1, "proximal": True},
            "Proximal",
            "Adam",
        ),
        ({"method": "adam", "penalty": "l1", "strength": 0.1}, "Adam", None),
        (
            {"method": "proximal-gradient", "penalty": "l2", "strength": 0.1, "proximal": True},
            "ProximalGradient",
            None,
        ),
    ],
)
def test_a_penalty_is_taken_by_its_proximal_step_where_that_is_asked(options, kind, inner):
    method = RunSpec(**options).build_method(steps=1)
    assert type(method).__name__ == kind
    assert inner is None or type(method.method).__name__ == inner


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "proximal-gradient"}, "proximal-gradient needs --penalty: l1 | l2"),
        (
            {"method": "lbfgs", "penalty": "l1", "strength": 0.1, "proximal": True},
            "--proximal needs a first-order method, which lbfgs is not",
        ),
        ({"proximal": True}, "--proximal needs --penalty: l1"),
        ({"method": "newton", "damping": -1}, "--damping must be a finite number >= 0"),
        ({"method": "lbfgs", "line_search": "wolfe"}, "--line-search wolfe: choose none"),
        ({"method": "lbfgs", "history": 0}, "--history must be a whole number >= 1"),
    ],
)
def test_what_does_not_go_with_a_method_is_refused(options, said):
    with pytest.raises(InputError, match=re.escape(said)):
        RunSpec.read(options)


@pytest.mark.parametrize("line_search", ["none", "backtracking", "strong-wolfe"])
def test_line_searches_are_named(line_search):
    method = RunSpec(method="newton", line_search=line_search).build_method(steps=1)
    assert method.line_search == (None if line_search == "none" else line_search)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.toml", "lr = ", "not a run's specification"),
        ("a.toml", "learning = 3", "a.toml: --learning: no such option"),
        ("run.json", "{}", "not a run's specification"),
        ("run.json", '{"spec": [1, 2]}', "not a run's specification"),
        ("absent.toml", None, "no such file; give a TOML file or a run.json"),
    ],
)
def test_files_that_are_no_specification(tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match="^.*" + name) as caught:
        RunSpec.read_file(tmp_path / name, {})
    assert message in str(caught.value)


@pytest.mark.parametrize("loss", LOSS_CLASSES)
def test_losses_are_means_over_examples(loss):
    built = RunSpec(loss=loss).build_loss()
    assert type(built).__name__ == LOSS_CLASSES[loss]
    assert built.reduction == ("batchmean" if loss == "kl-div" else "mean")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("yes=2,no=1", {"yes": 2, "no": 1.0}),
        ("a=b=2", ["a=b=2.0"]),
        (" yes = 2", {"yes ": 2}),
        ("balanced", ("balanced",)),
        ("", ()),
    ],
)
def test_class_weights_are_the_same_however_they_are_written(one, other):
    assert RunSpec(class_weight=one) == RunSpec(class_weight=other)


def test_a_loss_that_has_options_is_built_with_them():
    assert RunSpec(loss="huber", delta=0.5).build_loss().delta == 0.5
    assert RunSpec(loss="pinball", quantile=0.9).build_loss().quantile == 0.9
    weight = torch.tensor([1.0, 2.0])
    built = RunSpec(loss="cross-entropy", label_smoothing=0.1).build_loss(weight)
    assert (built.label_smoothing, built.weight) == (0.1, weight)
    assert RunSpec(loss="nll").build_loss().weight is None


def test_penalties_are_built_with_their_strength():
    assert RunSpec().build_penalty() is None
    assert RunSpec(strength=0.0).build_penalty() is None
    spec = RunSpec(penalty="elastic-net", strength=0.5, l1_ratio=0.25)
    assert spec.build_penalty() == penalties.ElasticNet(0.5, l1_ratio=0.25)
