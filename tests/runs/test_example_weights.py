"""A column of weights, from the file to the record of a run."""

import numpy as np
import pytest
from sklearn.metrics import log_loss

import gradus
from gradus.data.loading import load
from gradus.runs.spec import RunSpec


def written(tmp_path, weight=lambda row: str(row % 3), rows=60):
    """Names that x says, but for those that count nothing, which are all wrong."""
    lines = ["x,name,w"]
    for row in range(rows):
        x, lies = (row * 7 % rows) / rows, row % 3 == 0
        lines.append(f"{x:.4f},{'high' if (x > 0.5) != lies else 'low'},{weight(row)}")
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_column_of_weights_is_no_feature_and_counts_in_every_part(tmp_path):
    split = load(written(tmp_path), target="name", weights="w", dtype="float64")
    assert split.features == ("x",)
    weights = {part: getattr(split, part).weights for part in ("train", "validation", "test")}
    assert weights["train"].mean() == pytest.approx(1)
    ratios = {round(float(w / weights["train"].max()), 6) for w in weights["test"]}
    assert ratios == {0, 0.5, 1}
    assert "rows count in the loss by 'w', in figures all alike" in split.notes


def test_rows_without_a_target_take_their_weights_with_them(tmp_path):
    path = written(tmp_path, weight=lambda row: str(1 + (row >= 30)))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "0.3,,7", *lines[1:]]) + "\n")
    split = load(path, target="name", weights="w", split="time")
    assert len(set(split.test.weights.tolist())) == 1
    assert split.test.weights.max() == split.train.weights.max() == 2 * split.train.weights.min()


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        (lambda row: "-2" if row == 5 else "1", "--weights w: a row cannot count -2; weights are"),
        (
            lambda row: "" if row % 9 == 5 else "1.5",
            "--weights w: the column has missing values in",
        ),
        (lambda row: "ab"[row % 2], "--weights w: the column of .* holds no numbers, but names"),
        (lambda row: str(int(row < 45)), "--weights w: is 0 in every row of the test part"),
    ],
)
def test_what_cannot_be_weights_is_refused_in_one_line(tmp_path, weight, said):
    with pytest.raises(gradus.InputError, match=said) as refused:
        load(written(tmp_path, weight), target="name", weights="w", split="time")
    assert "\n" not in str(refused.value)


def test_weights_are_a_column_and_not_the_target(tmp_path):
    path = written(tmp_path)
    with pytest.raises(gradus.InputError, match="--weights v: no such column in"):
        load(path, target="name", weights="v")
    with pytest.raises(gradus.InputError, match="--weights w: is the target; name the column"):
        load(path, target="w", weights="w")
    with pytest.raises(gradus.InputError, match="--weights w: does not apply to digits"):
        load("digits", weights="w")


def test_a_run_learns_from_the_rows_that_count_and_is_judged_by_them(tmp_path):
    path = written(tmp_path, rows=300)
    spec = RunSpec(data=str(path), target="name", weights="w", model="linear", epochs=40, lr=0.1)
    run = gradus.train(spec)
    assert run.summary["engine"] == "native"
    weights = load(path, target="name", weights="w").test.weights.double().numpy()
    said, test = run.on_test, run.summary["test"]
    expected = log_loss(said.labels, said.probabilities, sample_weight=weights)
    assert test["loss"] == pytest.approx(expected, rel=1e-5)
    right = said.decisions == said.labels
    assert right[weights > 0].mean() > 0.9
    assert right[weights == 0].mean() < 0.1
    assert test["loss"] < 0.6 * run.summary["constant"]["test_loss"]
    assert np.isfinite(test["standard_error"])
