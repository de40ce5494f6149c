"""What is chosen in a run stands in its record: on which part, by what, and how sure it is."""

import json
import math

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, sem

import gradus
from gradus import InputError, RunSpec
from gradus.data.loading import NAMES, load
from gradus.data.partition import VALIDATION_FRACTION
from gradus.runs.parts import data as options
from gradus.runs.resume import resume
from gradus.runs.train import load_for, train

QUICK = {"model": "linear", "lr": 0.5, "epochs": 3, "engine": "eager"}
PARTS = ("train", "validation", "test")


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "own.csv"
    rows = [f"{i % 7},{(i * 5) % 11},{i // 4},{'no' if i % 3 else 'yes'}" for i in range(120)]
    path.write_text("a,b,who,y\n" + "\n".join(rows) + "\n")
    return path


def parts_of(spec):
    split = load_for(spec, None)
    return {name: None if (part := getattr(split, name)) is None else part.x for name in PARTS}


def same(one, other):
    return {name: torch.equal(one[name], other[name]) for name in PARTS if one[name] is not None}


def test_the_seed_moves_parameters_and_order_and_the_split_seed_the_parts():
    base = {"validation_fraction": 0.2}
    first = parts_of(RunSpec(**base))
    assert set(same(first, parts_of(RunSpec(**base, seed=5))).values()) == {True}
    assert set(same(first, parts_of(RunSpec(**base, split_seed=5))).values()) == {False}
    assert all(
        same(parts_of(RunSpec(**base, seed=5, split_seed="seed")), parts_of(
            RunSpec(**base, split_seed=5))).values()
    )  # fmt: skip


def test_what_is_held_where_nothing_is_said(table):
    assert parts_of(RunSpec())["validation"] is None
    assert parts_of(RunSpec(validation_fraction=0))["validation"] is None
    own = RunSpec(data=str(table), target="y")
    assert [len(part) for part in parts_of(own).values()] == [81, 15, 24]
    none = RunSpec(data=str(table), target="y", validation_fraction=0)
    assert parts_of(none)["validation"] is None
    # The specification says it before there are data: both say the same.
    assert options.VALIDATION_FRACTION == VALIDATION_FRACTION
    assert options.KNOWN_BY_NAME == NAMES


def test_the_last_rows_of_a_table_in_the_order_of_time(table):
    split = load(table, target="a", split="time", loss="mse", drop=["y"])
    rows = torch.cat([split.train.y, split.validation.y, split.test.y]).flatten()
    assert rows.tolist() == [i % 7 for i in range(120)]


def test_a_group_stands_in_one_part_and_is_no_feature(table):
    split = load(table, target="y", group="who")
    assert split.features == ("a", "b")
    rows = {}
    for name in PARTS:
        for row in getattr(split, name).x.tolist():
            rows.setdefault(tuple(row), set()).add(name)
    who = {i: (i % 7, (i * 5) % 11) for i in range(120)}  # rows differ within 77 of them
    parts = [{next(iter(rows[who[i]]))} for i in range(77) if len(rows[who[i]]) == 1]
    assert len(parts) > 40
    for group in range(19):
        of_group = [rows[who[i]] for i in range(4 * group, 4 * group + 4) if len(rows[who[i]]) == 1]
        assert len({frozenset(each) for each in of_group}) <= 1


def test_the_record_says_what_was_kept_and_measures_it_once(tmp_path):
    spec = RunSpec(**QUICK | {"epochs": 12, "lr": 2.0}, validation_fraction=0.3, patience=3)
    run = train(spec, out=tmp_path)
    content = json.loads((tmp_path / "run.json").read_text())
    rows = run.evaluation.to_pylist()
    losses = [row["validation_loss"] for row in rows]
    best = losses.index(min(losses))
    kept, test, final = content["kept"], content["test"], content["final"]
    assert final == rows[best]
    assert kept == {
        "which": "best", "epoch": best + 1, "measure": "validation_loss", "best": losses[best],
        "last": losses[-1], "note": None,
    }  # fmt: skip
    assert [row["epoch"] for row in rows if row["test_loss"] is not None] == [best + 1]
    x, y = load_for(spec, None).test.batch()
    with torch.no_grad():
        outputs = run.model(x)
    each = torch.nn.functional.cross_entropy(outputs, y, reduction="none").double()
    assert test["loss"] == pytest.approx(each.mean().item(), rel=1e-6)
    assert test["standard_error"] == pytest.approx(sem(each.numpy()), rel=1e-5)
    correct = int((outputs.argmax(1) == y).sum())
    expected = binomtest(correct, len(y)).proportion_ci(0.95, method="wilson")
    assert test["interval"] == pytest.approx([expected.low, expected.high], rel=1e-9)
    assert (test["accuracy"], test["examples"]) == (correct / len(y), 360)
    assert len(rows) == spec.epochs or len(rows) - best - 1 == 3


@pytest.mark.parametrize("measure", ["test-loss", "test-accuracy"])
def test_a_choice_on_the_test_part_is_said(measure):
    run = train(RunSpec(**QUICK, keep="best", measure=measure))
    assert "chosen on the test part" in run.summary["kept"]["note"]
    column = run.evaluation[measure.replace("-", "_")].to_pylist()
    assert run.summary["kept"]["best"] == (min if measure == "test-loss" else max)(column)
    # Where nothing is chosen, nothing is said.
    assert train(RunSpec(**QUICK, measure=measure)).summary["kept"]["note"] is None


def test_a_regression_has_a_standard_error_and_no_interval(table):
    run = train(RunSpec(**QUICK | {"lr": 0.001}, data=str(table), target="b", loss="mse"))
    test = run.summary["test"]
    assert (test["accuracy"], test["interval"]) == (None, None)
    assert math.isfinite(test["standard_error"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"patience": 3}, "--patience 3: no examples are held .* --validation-fraction 0.15"),
        ({"keep": "best"}, "--keep best: no examples are held for validation"),
        ({"measure": "validation-loss"}, "--measure validation-loss: no examples are held .*"
         "--measure test-loss"),
        ({"measure": "los"}, "--measure los: choose validation-loss"),
        ({"measure": "f1"}, "--measure validation-f1: no examples are held .*"
         "--measure test-f1"),
        ({"measure": "test-r2"}, "--measure test-r2: the targets are classes, .* test-f1"),
        ({"patience": 0}, "--patience 0: must be greater than or equal to 1"),
        ({"validation_fraction": 1}, "--validation-fraction 1: must be less than 1"),
        ({"group": "a"}, "--group a: does not apply to digits"),
        ({"split": "time"}, "--split time: does not apply to digits"),
    ],
)  # fmt: skip
def test_what_cannot_be_chosen_is_said_in_one_line(given, said):
    with pytest.raises(InputError, match=said):
        train(RunSpec.read(QUICK | given))


@pytest.mark.parametrize(
    ("measure", "other"),
    [("accuracy", "r2"), ("f1", "r2"), ("auc", "r2"), ("log-loss", "rmse")],
)
def test_numbers_have_no_figures_of_classes_to_choose_by(table, measure, other):
    spec = RunSpec(**QUICK, data=str(table), target="b", loss="mse", measure=measure)
    said = f"validation-{measure}: the targets are numbers, .*--measure validation-{other}"
    with pytest.raises(InputError, match=said):
        train(spec)


def parts(path, y):
    """Arrays whose validation part has these targets."""
    x, y = np.arange(40.0)[:, None] / 40, np.array(y)
    np.savez(
        path,
        x_train=x[:20],
        y_train=np.arange(20) % 3 * y.dtype.type(1),
        x_validation=x[20:24],
        y_validation=y,
        x_test=x[24:],
        y_test=np.arange(16) % 3,
    )
    return str(path)  # fmt: skip


@pytest.mark.parametrize(
    ("y", "loss", "measure", "said"),
    [
        ([0, 1, 1, 0], None, "auc", "the validation part has no example of class 2, .*-f1"),
        ([1.5, 1.5, 1.5, 1.5], "mse", "r2", "of the validation part are all the same, .*-rmse"),
    ],
)
def test_a_part_may_lack_what_a_measure_needs(tmp_path, y, loss, measure, said):
    data = parts(tmp_path / "own.npz", y)
    with pytest.raises(InputError, match=said):
        train(RunSpec(**QUICK, data=data, loss=loss, measure=measure))


OWN = {"f1": 1, "balanced-accuracy": 1, "auc": 1, "log-loss": -1, "r2": 1, "rmse": -1, "mae": -1}


@pytest.mark.parametrize("part", ["validation", "test"])
@pytest.mark.parametrize("measure", OWN)
def test_a_figure_chooses_and_is_a_column(table, tmp_path, measure, part):
    target = {"target": "b", "loss": "mse", "lr": 1e-3}
    if measure not in ("r2", "rmse", "mae"):
        target = {"target": "y", "lr": 0.02}
    named = measure if part == "validation" else f"test-{measure}"
    spec = RunSpec(**QUICK | {"epochs": 4} | target, data=str(table), measure=named, keep="best")
    run = train(spec, out=tmp_path)
    column = f"{part}_{measure.replace('-', '_')}"
    opened = gradus.open_run(tmp_path)
    assert opened.evaluation.column_names[-1] == column
    figures = opened.evaluation[column].to_pylist()
    best = max(figures, key=lambda value: OWN[measure] * value)
    kept = run.summary["kept"]
    assert (kept["measure"], kept["best"], kept["last"]) == (column, best, figures[-1])
    assert opened.summary["final"][column] == best
    assert kept["epoch"] == figures.index(best) + 1
    if part == "test":
        figure = run.summary["figures"]["test"][measure.replace("-", "_")]
        # On its way a run sees its targets as float32.
        assert figure["value"] == pytest.approx(best, rel=1e-6)


def test_a_run_that_is_broken_off_goes_on_to_choose_by_its_figure(table, tmp_path):
    spec = RunSpec(**QUICK | {"epochs": 6, "lr": 0.02}, data=str(table), target="y", measure="f1")
    whole = train(spec)

    def interrupt(job, split):
        def observe(progress):
            if progress.epoch == 3:
                raise KeyboardInterrupt

        return observe

    broken = train(spec, out=tmp_path, observe=interrupt)
    assert broken.status == "interrupted"
    found = resume(tmp_path)
    assert found.evaluation.equals(whole.evaluation)
    assert found.summary["kept"] == whole.summary["kept"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"group": "nobody"}, "--group nobody: no such column"),
        ({"group": "y"}, "--group y: is the target"),
        ({"group": "who", "split": "time"}, "--group who: cannot be kept together"),
    ],
)
def test_groups_that_cannot_be_are_said(table, given, said):
    with pytest.raises(InputError, match=said):
        load(table, target="y", **given)


def test_arrays_may_bring_their_own_validation_part(tmp_path):
    path, x = tmp_path / "own.npz", np.arange(20.0)[:, None]
    np.savez(path, x_train=x[:12], y_train=np.arange(12) % 2, x_validation=x[12:16],
             y_validation=np.arange(4) % 2, x_test=x[16:], y_test=np.arange(4) % 2)  # fmt: skip
    split = load(path)
    assert [getattr(split, name).x.flatten().tolist() for name in PARTS] == [
        [*range(12)], [*range(12, 16)], [*range(16, 20)]
    ]  # fmt: skip
    assert load(path, validation_fraction=0).validation is None
    with pytest.raises(InputError, match="has a validation part of its own"):
        load(path, validation_fraction=0.5)
