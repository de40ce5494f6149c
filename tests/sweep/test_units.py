"""Runs whose losses are numbers of different things are not ranked by them."""

import pyarrow as pa
import pytest

from gradus import InputError, SweepSpec
from gradus.sweep.compare import best_runs, ranking
from gradus.sweep.sweep import Sweep

CLASSES, NUMBERS = "log-loss, accuracy or f1", "rmse, mae or r2"


@pytest.mark.parametrize(
    ("given", "option", "instead"),
    [
        ({"vary": {"loss": "mse,l1"}}, "--loss", NUMBERS),
        ({"vary": {"label_smoothing": "0,0.1"}}, "--label-smoothing", CLASSES),
        ({"vary": {"class_weight": "balanced;"}}, None, None),  # one value
        ({"vary": {"class_weight": "balanced;no=1,yes=2"}}, "--class-weight", CLASSES),
        (
            {"around": [{"base": {"weights": "area"}}, {}], "vary": {"lr": "1,2"}},
            "--weights",
            f"{CLASSES} (classes); {NUMBERS} (numbers)",
        ),
        ({"base": {"weights": "area"}, "vary": {"lr": "1,2"}}, None, None),
        ({"vary": {"standardize_target": "true,false"}}, "--standardize-target", NUMBERS),
        ({"base": {"loss": "huber"}, "vary": {"delta": "0.5,1"}}, "--delta", NUMBERS),
        ({"base": {"loss": "pinball"}, "vary": {"quantile": "0.1,0.9"}}, "--quantile", NUMBERS),
        ({"vary": {"loss": "cross-entropy,nll"}}, None, None),
        ({"vary": {"loss": "mse,l1"}, "base": {"measure": "train-loss"}}, "--loss", NUMBERS),
        ({"vary": {"loss": "mse,l1"}, "base": {"measure": "rmse"}}, None, None),
        ({"vary": {"label_smoothing": "0,0.1"}, "base": {"measure": "test-log-loss"}}, None, None),
        (
            {"around": [{"base": {"label_smoothing": 0.1}}, {}], "vary": {"lr": "1,2"}},
            "--label-smoothing",
            CLASSES,
        ),
    ],
)
def test_a_sweep_over_what_a_loss_is_asks_for_a_measure_that_stays_the_same(given, option, instead):
    if option is None:
        SweepSpec.read({"seeds": 2, **given})
        return
    with pytest.raises(InputError) as error:
        SweepSpec.read(given)
    said = str(error.value)
    assert said.startswith(f"{option} varies, and losses of different units cannot be ranked")
    assert said.partition("--measure ")[2] == instead


RUNS = pa.table(
    {
        "run": ["a", "b"],
        "status": ["finished"] * 2,
        "loss": ["mse", "l1"],
        "seed": [0, 0],
        "validation_loss": [0.2, 0.1],
        "validation_rmse": [3.0, 4.0],
    }
)


def test_recorded_losses_of_several_units_are_not_ranked(tmp_path):
    sweep = Sweep(tmp_path, SweepSpec(vary={"lr": "1,2"}), RUNS)
    with pytest.raises(
        InputError, match=r"--loss varies, .* cannot be ranked: take validation_rmse"
    ):
        ranking(sweep, "validation_loss")
    with pytest.raises(InputError, match="--loss varies"):
        sweep.best()
    ranked = ranking(sweep, "validation_rmse")
    assert ranked["loss"].to_pylist() == ["mse", "l1"]
    assert "validation_loss" not in ranked.column_names
    assert best_runs(RUNS, "validation_rmse") == [["a"]]
    without = RUNS.drop_columns(["validation_rmse"])
    with pytest.raises(InputError, match="cannot be ranked: train them with --measure rmse"):
        ranking(Sweep(tmp_path, sweep.spec, without), "validation_loss")


def test_losses_of_one_unit_are(tmp_path):
    same = RUNS.set_column(2, "loss", pa.array(["cross-entropy", "nll"]))
    assert ranking(Sweep(tmp_path, SweepSpec(vary={"lr": "1,2"}), same), "validation_loss")[
        "loss"
    ].to_pylist() == ["nll", "cross-entropy"]
