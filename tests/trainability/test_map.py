"""A map finds the boundary of the whole lattice by few runs, each the run of `gradus train`."""

import json

import numpy as np
import pytest
from matplotlib.text import Text

import gradus
from gradus.cli import main
from gradus.errors import InputError
from gradus.figures.trainability import draw_map, facts_of
from gradus.runs.spec import RunSpec, run_id
from gradus.trainability.axis import Axis
from gradus.trainability.boundary import LOST, UNKNOWN, Boundary, coarsest, filled
from gradus.trainability.theory import area

SHORT = {"model": "linear", "batch_size": 256, "steps": 4, "workers": 1}


def traced(size, is_lost):
    """The states of all points by those that a boundary asks for, and how many it does."""

    def spec_at(row, column):
        return RunSpec(lr=1 + column, momentum=row / (size + 1))

    def loss(spec):
        row, column = round(spec.momentum * (size + 1)), round(spec.lr - 1)
        return None if is_lost(column / size, row / size) else 0.5

    search = Boundary(size, coarsest(size), spec_at, lambda loss: loss is None)
    while asked := search.ask(7):
        for spec in asked:
            search.tell(run_id(spec), loss(spec))
    states = np.where(search.states == UNKNOWN, np.nan, search.states)
    return filled(states, search.coarse) == LOST, search.runs


@pytest.mark.parametrize(
    "is_lost",
    [
        lambda x, y: x > 0.4,
        lambda x, y: x + y > 1.1,
        lambda x, y: y > 0.3 + 0.2 * np.sin(9 * x),
        lambda x, y: (x - 0.5) ** 2 + (y - 0.4) ** 2 < 0.05,
        lambda x, y: x > 2,
        lambda x, y: abs(x - 0.5) < 0.003 and y > 0.5,  # one column, which a coarse point touches
    ],
    ids=["column", "diagonal", "wave", "disc", "none", "needle"],
)
def test_the_boundary_is_that_of_the_whole_lattice(is_lost):
    size = 64
    lost, runs = traced(size, is_lost)
    whole = [[is_lost(x / size, y / size) for x in range(size + 1)] for y in range(size + 1)]
    np.testing.assert_array_equal(lost, whole)
    assert runs < 0.16 * lost.size


@pytest.mark.parametrize(
    ("option", "coarse", "size", "closer"),
    [
        ("lr", "1e-3:10", 8, "0.01:1"),
        ("momentum", "0:0.8", 8, "0.2:0.6"),
        ("batch_size", "log:16:256", 4, "log:32:128"),
    ],
)
def test_finer_and_closer_lattices_hold_the_points_of_coarser_ones(option, coarse, size, closer):
    values = Axis.read(option, coarse, size).values
    assert set(values) <= set(Axis.read(option, coarse, 4 * size).values)
    near = Axis.read(option, closer, size).values
    if option != "batch_size":
        assert set(values[(values >= near[0]) & (values <= near[-1])]) <= set(near)
    assert (values[0], near[-1]) == (float(coarse.split(":")[-2]), float(closer.split(":")[-1]))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("map") / "linear"

    def told(what, done, of):
        if done >= 5:
            raise KeyboardInterrupt

    asked = {**SHORT, "x_range": "0.01:100", "y_range": "0:0.8", "out": folder}
    with pytest.raises(KeyboardInterrupt):
        gradus.trainability_map("digits", size=4, **asked, tell=told)
    return gradus.trainability_map("digits", size=4, **asked), asked


def test_what_was_interrupted_goes_on_and_a_closer_map_takes_what_is_there(found):
    first, asked = found
    assert first.runs == 25 > first.trained
    closer = gradus.trainability_map("digits", size=4, **{**asked, "x_range": "0.1:10"})
    # Three of five columns of the first stand in every other column of this.
    assert closer.runs - closer.trained == 15
    np.testing.assert_array_equal(closer.loss[:, ::2], first.loss[:, 1:4])


def test_a_point_is_the_run_that_train_makes(found):
    first, _ = found
    for row, column in ((0, 0), (4, 1), (3, 4)):
        run = gradus.train(first.spec(row, column))
        loss = run.evaluation["train_loss"].to_pylist()[-1]
        assert first.lost[row, column] == (not loss < first.beginning)
        assert first.lost[row, column] or first.loss[row, column] == loss


def test_theory_is_the_limit_of_the_method_over_the_curvature(found):
    first, _ = found
    expected = first.limit.curvature * first.x / (2 * (1 + first.y[:, None]))
    np.testing.assert_allclose(first.ratio, expected)
    assert area(first.ratio, first.ratio > 1) == 1
    assert area(first.ratio, first.ratio < 1) == 0
    assert area(first.ratio, first.ratio < 0) is None
    assert 0.5 < first.auc <= 1


def test_the_picture_has_the_facts(found):
    first, _ = found
    facts = facts_of(first)
    assert facts.lost.sum() == first.lost.sum()
    assert np.isnan(facts.loss).sum() == first.lost.sum()
    said = " ".join(text.get_text() for text in draw_map(facts).findobj(Text))
    assert "25 runs of 6 steps" in said
    assert "limit of theory" in said


def test_the_command_prints_what_the_record_says(found, capsys):
    first, asked = found
    with pytest.raises(SystemExit) as ended:
        main(
            "map digits --model linear --batch-size 256 --steps 4 --size 4 --x-range 0.01:100 "
            f"--y-range 0:0.8 --workers 1 --out {asked['out']}".split()
        )
    said, record = capsys.readouterr().out, json.loads((asked["out"] / "map.json").read_text())
    assert ended.value.code == 0
    assert record["trained_in_this_call"] == 0
    assert record["runs"] == 25
    assert record["auc"] == first.auc
    assert f"AUC {first.auc:.3f}" in said
    assert (asked["out"] / "map.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": 48}, "size=48: give a power of two"),
        ({"steps": 0}, "steps=0: give at least 1"),
        ({"x": "loss"}, "x=loss: is no option of a run that takes numbers"),
        ({"lr": 0.1}, "lr: is an axis of the map (x); leave it out"),
        ({"y": "lr"}, "y=lr: is the other axis already"),
        ({"x_range": "10:1"}, "x_range=10:1: give two numbers, the lower first"),
        ({"x_range": "-1:1"}, "lr must be a finite number >= 0"),
        ({"y": "seed"}, "y=seed: needs a range, as y_range"),
        ({"method": "adam"}, "momentum is not an option of method=adam"),
    ],
)
def test_what_is_wrong_is_one_line(options, said):
    with pytest.raises(InputError) as error:
        gradus.trainability_map("digits", **{**SHORT, "x_range": "0.1:10", "size": 4, **options})
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds notes\.txt already"):
        gradus.trainability_map("digits", size=2, out=tmp_path, **SHORT)
