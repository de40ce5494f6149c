"""The pictures of a run show what its model says: their facts against scikit-learn, and a page."""

import html
import json
import re
import shutil
import tomllib

import numpy as np
import pytest
import sklearn.metrics as sk
from click.testing import CliRunner
from PIL import Image

import gradus
from gradus import InputError, RunSpec
from gradus.cli import cli
from gradus.figures.run import confusion, importance, pictures, ranking, reliability, residuals
from gradus.figures.run.page import page
from gradus.metrics.predictions import ClassPredictions, NumberPredictions
from tests.figures.thumbnails import thumbnail


def classes(n, count, seed=0, names=None):
    random = np.random.default_rng(seed)
    labels = random.choice(count, n)
    logits = random.normal(size=(n, count)) + 1.5 * np.eye(count)[labels]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return ClassPredictions(p, labels, tuple(names or map(str, range(count))))


def numbers(n, targets=1):
    random = np.random.default_rng(0)
    y = random.normal(size=(n, targets)) * 10.0 ** np.arange(targets)
    said = y + random.normal(size=y.shape)
    return NumberPredictions(said, y, tuple(f"target {k}" for k in range(targets)))


def test_the_confusion_is_that_of_scikit_learn():
    said = classes(200, 5)
    found = confusion.confusion(said)
    decided = said.probabilities.argmax(axis=1)
    assert found.counts.tolist() == sk.confusion_matrix(said.labels, decided).tolist()
    np.testing.assert_allclose(
        found.shares, sk.confusion_matrix(said.labels, decided, normalize="true")
    )
    assert (found.wrong, found.hidden) == ((decided != said.labels).sum(), 0)


def test_of_many_classes_those_with_the_most_errors_are_shown():
    said = classes(2_000, confusion.MOST + 5)
    found = confusion.confusion(said)
    matrix = sk.confusion_matrix(said.labels, said.decisions)
    errors = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * matrix.diagonal()
    shown = [int(name) for name in found.classes]
    assert (len(shown), found.hidden) == (confusion.MOST, 5)
    assert shown == sorted(shown)
    assert min(errors[shown]) >= max(np.delete(errors, shown))
    assert found.wrong == errors.sum() / 2


@pytest.mark.parametrize("rarer", [0, 1])
def test_the_curves_of_two_classes_are_those_of_scikit_learn(rarer):
    said = classes(100, 2)
    (curve,) = ranking.ranking(said, rarer).curves
    positive, scores = said.labels == rarer, said.probabilities[:, rarer]
    false, true, _ = sk.roc_curve(positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(curve.false_positives, false)
    np.testing.assert_allclose(curve.found, true)
    precision, recall, _ = sk.precision_recall_curve(positive, scores)
    # There from the lowest score on, and its last point, where nothing is taken, is set to 1.
    np.testing.assert_allclose(curve.precision[1:], precision[:-1][::-1])
    np.testing.assert_allclose(curve.found[1:], recall[:-1][::-1])
    assert curve.auc == pytest.approx(sk.roc_auc_score(positive, scores))
    assert curve.average_precision == pytest.approx(sk.average_precision_score(positive, scores))
    assert curve.share == positive.mean()


def test_of_many_classes_those_that_are_told_apart_worst_have_curves():
    said = classes(1_000, ranking.MOST + 3)
    found = ranking.ranking(said)
    one_hot = np.eye(ranking.MOST + 3)[said.labels]
    areas = sk.roc_auc_score(one_hot, said.probabilities, average=None)
    worst = sorted(np.argsort(areas)[: ranking.MOST].tolist())
    assert [int(curve.name) for curve in found.curves] == worst
    assert (found.hidden, found.absent) == (3, 0)
    assert all(len(curve.found) <= ranking.POINTS + 1 for curve in found.curves)
    assert all(curve.found[[0, -1]].tolist() == [0, 1] for curve in found.curves)


def test_a_class_without_an_example_has_no_curve():
    said = classes(40, 3)
    said = ClassPredictions(said.probabilities, said.labels % 2, said.classes)
    found = ranking.ranking(said)
    assert ([curve.name for curve in found.curves], found.absent) == (["0", "1"], 1)


def test_the_reliability_is_the_share_of_each_bin():
    said = classes(500, 4)
    found = reliability.calibration(said)
    confidence = said.probabilities.max(axis=1)
    right = said.decisions == said.labels
    at = np.ceil(confidence * 15).astype(int)
    bins = np.unique(at)
    assert found.count.tolist() == [(at == each).sum() for each in bins]
    np.testing.assert_allclose(found.accuracy, [right[at == each].mean() for each in bins])
    np.testing.assert_allclose(found.confidence, [confidence[at == each].mean() for each in bins])
    assert ((found.low <= found.accuracy) & (found.accuracy <= found.high)).all()
    weighted = np.abs(found.accuracy - found.confidence) * found.count / 500
    assert found.error == pytest.approx(weighted.sum())


@pytest.mark.parametrize("n", [10, 200, residuals.POINTS + 500])
def test_residuals_are_what_is_left(n):
    said = numbers(n, 2)
    found = residuals.residuals(said)
    assert [each.name for each in found] == ["target 0", "target 1"]
    for at, each in enumerate(found):
        assert (len(each.predicted), each.examples) == (min(n, residuals.POINTS), n)
        both = set(zip(said.values[:, at], (said.targets - said.values)[:, at], strict=True))
        assert set(zip(each.predicted, each.residual, strict=True)) <= both
        assert (np.diff(each.middle) > 0).all()
        assert (np.diff(each.quantiles, axis=0) >= 0).all()
        assert len(each.middle) == (0 if n < residuals.FEWEST else min(12, n // residuals.FEWEST))


ODD = {
    "many classes": classes(900, 45),
    "names that seem formulas": classes(90, 4, names=["$x", "\\frac{", "new\nline", "a" * 99]),
    "one example": classes(1, 2),
    "two classes": classes(60, 2),
    "three targets": numbers(100, 3),
    "few numbers": numbers(3),
    "more targets than panes": numbers(30, residuals.PANES + 2),
}


@pytest.mark.parametrize("said", ODD.values(), ids=ODD)
def test_all_of_them_can_be_drawn(said):
    if isinstance(said, ClassPredictions):
        drawn = [
            confusion.draw(confusion.confusion(said)),
            ranking.draw(ranking.ranking(said)),
            reliability.draw(reliability.calibration(said)),
        ]
    else:
        drawn = [residuals.draw(residuals.residuals(said))]
    for figure in drawn:
        assert (np.asarray(thumbnail(figure)) / 255).std() > 0.02, "the picture is blank"


def importances(*rows):
    names = ("column", "lost", "low", "high")
    return {
        "importance": [dict(zip(names, row, strict=True)) for row in rows],
        "data": {"task": "classification"},
    }


def test_columns_that_are_not_told_from_nothing_are_hollow():
    summary = importances(("$ a", 0.5, 0.4, 0.6), ("b", 0.1, -0.1, 0.3), ("c", 0.2, None, None))
    axes = importance.draw(importance.importances(summary)).axes[0]
    filled = [bar.get_facecolor()[:3] == bar.get_edgecolor()[:3] for bar in axes.patches]
    assert filled == [True, False, True]
    many = importances(*((f"c{at}", 0.1, 0.0, 0.2) for at in range(importance.MOST + 4)))
    found = importance.importances(many)
    assert (len(found.columns), found.hidden) == (importance.MOST, 4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on a table whose names would be tags and formulas."""
    path = tmp_path_factory.mktemp("table")
    random = np.random.default_rng(0)
    x = random.normal(size=(160, 2))
    label = np.where(x[:, 0] + 0.3 * random.normal(size=160) > 0, "<b>good", "bad $")
    rows = [f"{a:.3f},{b:.3f},{name}" for (a, b), name in zip(x, label, strict=True)]
    (path / "own.csv").write_text("<i>a,b,y\n" + "\n".join(rows) + "\n")
    arguments = ["train", str(path / "own.csv"), "--target", "y", "--epochs", "4", "--quiet"]
    done = CliRunner().invoke(cli, [*arguments, "--out", str(path / "run")])
    assert done.exception is None, done.output
    return path / "run"


def test_training_on_a_table_leaves_a_picture(folder):
    with Image.open(folder / "test.png") as image:
        assert (np.asarray(image.convert("L")) / 255).std() > 0.05
    run = gradus.train(RunSpec(model="linear", epochs=1), out=folder.parent / "other")
    assert not (run.folder / "test.png").exists()
    assert pictures.draw_overview(run) == run.folder / "test.png"


def test_a_page_says_what_the_record_says(folder):
    run = gradus.open_run(folder)
    content = page(run)
    assert "<i>a" not in content
    assert "<b>good" not in content
    text = html.unescape(re.sub(r"<svg.*?</svg>|<style.*?</style>", "", content, flags=re.DOTALL))
    for said in ("F1", "balanced accuracy", "<i>a", "of 32 examples", run.spec.title, "no better:"):
        assert said in text
    value = run.summary["figures"]["test"]["accuracy"]["value"]
    assert f"{100 * value:.2f} %" in text
    assert content.count("<svg") == 5
    ids = re.findall(r'\bid="([^"]*)"', content)
    assert len(ids) == len(set(ids))
    specification = html.unescape(re.search(r"<pre>(.*?)</pre>", content, re.DOTALL)[1])
    assert RunSpec(**tomllib.loads(specification)) == run.spec


def test_a_run_that_tested_nothing_has_a_page(tmp_path):
    run = gradus.train(RunSpec(model="linear", lr=1e30, weight_decay=1e10), out=tmp_path)
    content = page(gradus.open_run(tmp_path))
    assert run.summary["divergence"]["hint"] in html.unescape(content)
    assert "Nothing was measured" in content
    assert pictures.draw_overview(run) is None


OF_TABLE = ("-confusion", "-ranking", "-calibration", "-importance")


def test_the_commands_write_them(folder, tmp_path):
    def call(*arguments):
        return CliRunner().invoke(cli, [str(each) for each in arguments])

    assert call("report", folder).output.startswith(str(folder / "report.html"))
    assert call("report", folder, "--out", tmp_path / "own.html").exception is None
    assert (tmp_path / "own.html").read_text() == (folder / "report.html").read_text()
    absent = call("report", tmp_path / "absent").exception
    assert str(absent).startswith(f"{tmp_path}/absent: there is no run or sweep here: give the")
    (tmp_path / "empty").mkdir()
    assert "empty: holds no run and no sweep" in str(call("report", tmp_path / "empty").exception)
    refused = call("report", folder, "--by", "lr").exception
    assert isinstance(refused, InputError)
    assert "--by lr: is for a sweep" in str(refused)
    assert call("figures", folder, "--out", tmp_path, "--format", "svg").exception is None
    names = {path.name for path in tmp_path.glob("*.svg")}
    assert names == {f"run{each}.svg" for each in ("", *OF_TABLE)}


def test_what_an_overwritten_run_left_is_gone(tmp_path):
    spec = RunSpec(model="linear", epochs=1)
    first = gradus.train(spec, out=tmp_path)
    pictures.draw_overview(first)
    (tmp_path / "report.html").write_text("of the first")
    gradus.train(spec, out=tmp_path, overwrite=True)
    assert not {"test.png", "report.html"} & {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize(
    "damage", [{"columns": [{"column": 1}]}, {"shares": "x"}, {"notes": [None]}]
)
def test_a_damaged_record_is_one_line(folder, tmp_path, damage):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    content = json.loads((tmp_path / "run.json").read_text())
    content["data"] |= damage
    (tmp_path / "run.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"run\.json: the record cannot be read"):
        page(gradus.open_run(tmp_path))
