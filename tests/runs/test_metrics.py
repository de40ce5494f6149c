"""Figures that a run is asked for: by name, and functions of the user's own."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

import gradus
from gradus import InputError, RunSpec, open_run, train
from gradus.figures.scores import rows_of
from gradus.metrics import Metric

torch.manual_seed(0)
X = torch.randn(200, 4)
Y = (X[:, 0] + X[:, 1] > 0).long()
QUICK = {"epochs": 3, "lr": 0.1, "batch_size": 20}


def margin(output, target):
    """How far right outputs lie above wrong ones."""
    sign = 2 * target - 1
    return (sign * (output[:, 1] - output[:, 0])).mean()


def columns(run):
    return [name for name in run.evaluation.column_names if name.endswith(("f1", "margin"))]


TRAIN, TEST = (X[:150], Y[:150]), {"test": (X[150:], Y[150:])}


@pytest.mark.parametrize("engine", ["native", "eager"])
def test_figures_stand_after_every_epoch(engine):
    given = {**QUICK, **TEST, "keep": "last", "engine": engine}
    run = train(TRAIN, metrics=["f1", "accuracy", margin], **given)
    assert columns(run) == ["validation_f1", "validation_margin", "test_f1", "test_margin"]
    last, output = run.evaluation.to_pylist()[-1], run.model(X[150:])
    assert last["test_f1"] == pytest.approx(
        f1_score(Y[150:], output.argmax(1), average="macro"), rel=1e-6
    )
    assert last["test_margin"] == pytest.approx(margin(output, Y[150:]).item(), rel=1e-5)
    assert run.evaluation["test_f1"].null_count == 2  # tested once, at the end
    assert run.summary["final"]["validation_f1"] == last["validation_f1"]
    figures = run.summary["figures"]["test"]
    assert list(figures).count("f1") == 1
    assert figures["margin"]["value"] == last["test_margin"]
    assert train(TRAIN, **given).history.equals(run.history)


def test_they_stand_in_the_record_and_a_run_goes_on_with_them(tmp_path):
    given = {**QUICK, **TEST, "keep": "last"}
    run = train(TRAIN, metrics=["f1", margin], out=tmp_path / "run", **given)
    assert rows_of(run.summary)[-1].name == "margin"
    opened = open_run(tmp_path / "run")
    assert opened.evaluation.equals(run.evaluation)
    assert opened.spec == run.spec
    recorded = json.loads((tmp_path / "run" / "run.json").read_text())["objects"]
    assert recorded["metrics margin"]["source"]
    with pytest.raises(InputError, match=r"its metric margin was a function .*metrics=\[\.\.\]"):
        gradus.resume(tmp_path / "run", epochs=5, data=TRAIN, **TEST)
    more = gradus.resume(tmp_path / "run", epochs=5, data=TRAIN, metrics=[margin], **TEST)
    whole = train(TRAIN, metrics=["f1", margin], **{**given, "epochs": 5})
    assert more.evaluation.equals(whole.evaluation)


def test_epochs_are_compared_by_a_metric_of_ones_own_in_its_direction():
    asked = {**QUICK, "measure": "validation-margin", "patience": 2, "epochs": 6}
    best = {}
    for rises in (True, False):
        run = train((X, Y), metrics=Metric(margin, rises=rises), **asked)
        values = run.evaluation["validation_margin"].to_numpy()
        best[rises] = run.summary["kept"]
        at = values.argmax() if rises else values.argmin()
        assert best[rises]["epoch"] == at + 1
        assert best[rises]["best"] == values[at]
        assert len(values) == min(6, at + 3)
        assert columns(run) == ["validation_margin", "test_margin"]
    assert best[True]["epoch"] > best[False]["epoch"] == 1


def test_what_messages_name_is_there_without_another_import():
    assert "metrics" in gradus.__all__


def test_a_metric_that_epochs_are_compared_by_is_taken_once_of_a_part():
    seen = []

    def counted(output, target):
        seen.append(len(target))
        return margin(output, target)

    metric = Metric(counted, rises=True)
    run = train((X, Y), metrics=metric, measure="validation-counted", **QUICK)
    validation, test = run.summary["data"]["validation"], run.summary["data"]["test"]
    assert seen == [validation] * 3 + [test]


def test_an_epoch_in_which_the_measure_has_no_value_is_not_the_best():
    asked = {**QUICK, "measure": "validation-late", "epochs": 4}
    first = train((X, Y), metrics=margin, **{**asked, "measure": None})
    least = first.evaluation["validation_margin"][0].as_py()

    def late(output, target):
        value = float(margin(output, target))
        return value if value > least else np.nan

    run = train((X, Y), metrics=Metric(late, rises=False), **asked)
    assert run.evaluation["validation_late"].to_pylist()[0] is None
    assert run.summary["kept"]["epoch"] == 2


def test_a_plateau_of_a_metric_without_a_value_is_one():
    lowers = partial(torch.optim.lr_scheduler.ReduceLROnPlateau, patience=0, factor=0.5)
    plateau = gradus.Scheduler(lowers, measure="validation_never")
    never = {"never": lambda output, target: np.nan}
    run = train((X, Y), metrics=never, callbacks=[plateau], model="linear", **QUICK)
    assert sorted(set(run.history["lr"].to_pylist())) == [0.025, 0.05, 0.1]


def test_the_learning_rate_is_found_by_a_metric_of_ones_own():
    asked = {**QUICK, "measure": "validation-margin", "lr": "auto", "model": "linear"}
    given = {rises: Metric(margin, rises=rises) for rises in (True, False)}
    for rises, metric in given.items():
        found = train((X, Y), metrics=metric, **asked).summary["learning_rate"]
        tried = {each["lr"]: each["validation_margin"] for each in found["tried"]}
        best = max if rises else min
        assert tried[found["lr"]] == best(v for v in tried.values() if v is not None)


def test_numbers_come_in_the_unit_of_the_target():
    seen = []

    def largest(output, target):
        seen.append(target)
        return target.max()

    table = {"x": list(range(40)), "y": [1000.0 + 3 * i for i in range(40)]}
    run = train(table, target="y", metrics=[largest, "mae"], epochs=2, models=2)
    assert run.summary["data"]["target_names"] == ("y",)
    assert all(float(each.min()) >= 1000 and float(each.max()) <= 1117 for each in seen)
    final = run.summary["final"]
    assert final["test_largest"] == pytest.approx(float(seen[-1].max()))
    assert final["test_mae"] == pytest.approx(run.summary["figures"]["test"]["mae"]["value"])


def test_what_has_no_value_is_missing():
    never = {"never": lambda output, target: np.nan}
    run = train((X, Y), metrics=never, **QUICK)
    assert run.evaluation["validation_never"].null_count == 3
    assert run.summary["figures"]["test"]["never"]["value"] is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"metrics": 3}, "metrics 3: give a name, or a function"),
        ({"metrics": [lambda output, target: 1.0]}, "metrics <lambda>: is no name of letters"),
        ({"metrics": "f2"}, "metrics=f2: choose accuracy | balanced-accuracy | f1"),
        ({"metrics": "rmse"}, "metrics=rmse: the targets are classes, of which there is no rmse"),
        ({"metrics": [margin, margin]}, "metrics margin: is the name of two of them"),
        ({"metrics": {"f1": margin}}, "metrics f1: is the name of a figure of Gradus"),
        ({"metrics": {"each": lambda o, t: o.sum(1)}}, "metrics each: gives (24,), where one num"),
        ({"metrics": {"none": lambda o, t: None}}, "metrics none: gives NoneType, where one numb"),
        ({"metrics": {"bad": lambda o, t: o @ t}}, "metrics bad: fails on an output and targets "),
        (
            {"metrics": margin, "measure": "margin"},
            "measure=validation-margin: whether more of margin is better is not said; give gradus.",
        ),
        ({"measure": "margin"}, "measure=margin: choose validation-loss"),
        ({"metrics": margin, "engine": "stacked"}, "engine=stacked: the stacked engine does not"),
    ],
)
def test_what_is_wrong_is_one_line(options, said):
    with pytest.raises(InputError) as caught:
        train((X, Y), **options)
    assert str(caught.value).startswith(said)


def test_a_spec_knows_names_and_no_functions():
    spec = RunSpec(metrics="f1,log-loss")
    assert spec.metrics == ("f1", "log-loss")
    with pytest.raises(InputError, match="metrics"):
        RunSpec(metrics=[margin])
    with pytest.raises(InputError, match="metrics: stands in the RunSpec"):
        train(spec, metrics=[margin])
    with pytest.raises(ValueError, match="are figures of one run"):
        gradus.SweepSpec(base={"metrics": "f1"}, vary={"lr": (0.1, 0.2)})
