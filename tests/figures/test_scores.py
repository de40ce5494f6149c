"""The table of figures says what a figure is worth beside the best constant prediction."""

import numpy as np
import pytest

import gradus
from gradus import RunSpec
from gradus.figures.scores import lines, rows_of, verdicts, what_losses_are
from gradus.metrics.predictions import ClassPredictions, NumberPredictions
from gradus.runs.judging import judged

CHEAP = {"model": "linear", "epochs": 1, "models": 1, "split": "time", "test_fraction": 0.26,
         "validation_fraction": 0, "standardize_target": True}  # fmt: skip
PRICE = "price less 36, over 21.35"  # of the 37 rows 0, 2, .. 72 that train


def summary_of(predictions, **targets):
    data = {"classes": getattr(predictions, "classes", None), **targets}
    return {**judged(predictions, targets, "test"), "data": data}


def commonest(n, rare):
    """A model that answers the commonest class whatever it is given."""
    labels = np.r_[np.zeros(n - rare, int), np.ones(rare, int)]
    shares = [1 - rare / n, rare / n]
    said = ClassPredictions(np.tile([0.9, 0.1], (n, 1)), labels, ("no", "yes"))
    return summary_of(said, shares=shares)


def test_an_accuracy_of_97_percent_looks_like_the_failure_that_it_is():
    summary = commonest(100, 3)
    rows = {row.name: row for row in rows_of(summary)}
    assert rows["accuracy"][1:] == ("97.00 %", "91.55 to 98.97 %", "97.00 %", "no better")
    assert rows["balanced accuracy"].value == "50.00 %"
    assert rows["F1 of 'yes'"].value == "0.000"
    assert {row.remark for name, row in rows.items() if name != "calibration error"} == {
        "no better"
    }
    first, second = verdicts(summary)
    assert "answers 'no' in 100 of 100 cases" in first
    assert "no figure is better" in second


def test_a_model_that_knows_something_is_told_from_the_constant():
    labels = np.arange(100) % 2
    said = ClassPredictions(np.eye(2)[labels] * 0.8 + 0.1, labels, ("a", "b"))
    summary = summary_of(said, shares=[0.5, 0.5])
    assert {row.remark for row in rows_of(summary)} == {""}
    assert verdicts(summary) == []


@pytest.mark.parametrize(("off", "remark"), [(1.0, ""), (100.0, "no better")])
def test_of_errors_less_is_better(off, remark):
    targets = np.linspace(1_000, 1_100, 80)[:, None]
    errors = off * np.random.default_rng(0).normal(size=(80, 1))
    said = NumberPredictions(targets + errors, targets, ("price",))
    rows = rows_of(summary_of(said, mean=[1_050.0], median=[1_050.0]))
    assert [row.name for row in rows] == ["RMSE", "MAE", "R²", "median absolute error"]
    assert {row.remark for row in rows} == {remark}


@pytest.mark.parametrize(("loss", "told"), [(0.2, False), (0.35, True), (0.5, True)])
def test_a_model_is_not_judged_by_figures_of_means_alone(loss, told):
    """One that learned something else may be far above nearly all targets, and right."""
    targets = np.linspace(0, 1, 80)[:, None]
    said = NumberPredictions(targets + 5, targets, ("wait",))
    summary = summary_of(said, mean=[0.5], median=[0.5])
    assert verdicts(summary) == ["no figure is better than that of the best constant prediction"]
    summary |= {"test": {"loss": loss, "standard_error": 0.05}, "constant": {"test_loss": 0.4}}
    assert bool(verdicts(summary)) == told


@pytest.mark.parametrize(
    ("shift", "remarks"),
    [(0.0, ["", ""]), (-9.0, ["no better", "off"]), (9.0, ["no better", "off"])],
)
def test_a_quantile_is_judged_by_its_loss_and_by_how_many_targets_it_covers(shift, remarks):
    random = np.random.default_rng(0)
    x, noise = random.normal(size=(2, 400, 1))
    said = NumberPredictions(3 * x + 1.2816 + shift, 3 * x + noise, ("wait",), 0.9)
    summary = summary_of(said, mean=[0.0], median=[0.0], quantile=0.9, quantiles=[4.05])
    rows = rows_of(summary)
    assert [row.name for row in rows] == ["pinball loss", "coverage (90 % wanted)"]
    assert [row.remark for row in rows] == remarks
    assert len(verdicts(summary)) == (shift != 0)


def test_what_is_missing_says_why():
    said = ClassPredictions(np.eye(3)[[0, 1]], np.array([0, 1]), ("a", "b", "c"))
    rows = {row.name: row for row in rows_of(summary_of(said, shares=[0.4, 0.4, 0.2]))}
    assert rows["ROC AUC"] == ("ROC AUC", "", "", "", "no example of c among them")


def test_the_columns_of_the_table_stand_below_each_other():
    table = lines(rows_of(commonest(1_000, 30)), 1_000)
    assert table[0].startswith("test part (1,000)")
    ends = {line.index("no better") for line in table if line.endswith("no better")}
    assert len(ends) == 1


def test_a_record_from_before_has_no_figures():
    assert rows_of({"figures": None, "data": {}}) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"standardize_target": False}, ""),
        (
            {"target": "price,rent"},
            f"of {PRICE}; rent{PRICE[5:]}; the figures are in their own units",
        ),
        ({}, f"of {PRICE}; the figures are in its own unit"),
        (
            {"weights": "rent"},
            f"of {PRICE}, with rows weighted by 'rent'; the figures are in its own unit and count "
            "each example once",
        ),
        ({"target": "kind"}, ""),
        (
            {"target": "kind", "label_smoothing": 0.1},
            "with label smoothing 0.1; the figures are without",
        ),
        (
            {"target": "kind", "class_weight": "flat=2"},
            "with classes weighted (flat=2); the figures count each example once",
        ),
    ],
)
def test_what_losses_are_where_figures_are_something_else(tmp_path, options, said):
    price = np.arange(0, 100, 2)
    rows = [f"{a},{p},{p},{'flat' if p % 4 else 'house'}" for a, p in enumerate(price)]
    path = tmp_path / "homes.csv"
    path.write_text("\n".join(["area,price,rent,kind", *rows]))
    spec = RunSpec(**{"data": str(path), "target": "price", **CHEAP, **options})
    assert what_losses_are(gradus.train(spec)) == said
