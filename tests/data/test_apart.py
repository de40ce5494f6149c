"""Parts of a table that are tables of their own, prepared as the rows that train were."""

import csv
import random

import numpy as np
import pytest
import torch

import gradus
from gradus import InputError, train
from gradus.data import load

QUICK = {"target": "fruit", "epochs": 2, "models": 2}


def table(rows, seed, shift=0.0):
    drawn = random.Random(seed)
    grams = [drawn.gauss(150 + shift, 20) for _ in range(rows)]
    colours = [drawn.choice(["red", "yellow"]) for _ in range(rows)]
    fruit = ["apple" if each > 150 else "pear" for each in grams]
    return {"grams": grams, "colour": colours, "fruit": fruit, "counts": [2] * rows}


TRAIN, VALIDATION, TEST = table(90, 1), table(20, 2, 30.0), table(30, 3, -30.0)


@pytest.fixture
def files(tmp_path):
    found = {}
    for name, given in (("train", TRAIN), ("validation", VALIDATION), ("test", TEST)):
        found[name] = tmp_path / f"{name}.csv"
        with open(found[name], "w") as file:
            writer = csv.writer(file)
            writer.writerow(given)
            writer.writerows(zip(*given.values(), strict=True))
    return found


def test_tables_in_memory_and_files_give_the_same_run(files):
    ours = train(TRAIN, validation=VALIDATION, test=files["test"], **QUICK)
    parts = {name: str(files[name]) for name in ("validation", "test")}
    theirs = train(files["train"], **parts, **QUICK)
    assert theirs.spec.test == parts["test"]
    assert ours.evaluation.equals(theirs.evaluation)
    data = ours.summary["data"]
    assert (data["train"], data["validation"], data["test"]) == (90, 20, 30)
    assert ours.preparation.record() == theirs.preparation.record()
    judged = ours.evaluate(TEST)
    assert judged["accuracy"].value == ours.summary["figures"]["test"]["accuracy"]["value"]
    assert any(f"30 rows of {files['test']}" in note for note in theirs.summary["data"]["notes"])


@pytest.mark.parametrize("given", [("validation",), ("test",), ("validation", "test")])
def test_nothing_is_fitted_to_them(files, given):
    options = {"target": "fruit", "standardize": True, "weights": "counts"}
    parts = {name: str(files[name]) for name in given}
    split = load(files["train"], **parts, **options)
    assert split.apart == given
    sizes = {
        "validation": 20 if "validation" in given else 11,
        "test": 30 if "test" in given else 18,
    }
    if given == ("test",):
        sizes["validation"] = 14
    assert {name: len(getattr(split, name)) for name in sizes} == sizes
    mean = split.preparation.encoders[0].centre
    held = np.mean([*TRAIN["grams"]])
    if given == ("validation", "test"):
        assert len(split.train) == 90
        assert mean == pytest.approx(held)
    x = split.train.batch()[0][:, 0]
    assert float(x.mean()) == pytest.approx(0, abs=1e-5)
    for name, sign in (("validation", 1), ("test", -1)):
        if name in given:
            assert sign * float(getattr(split, name).x[:, 0].mean()) > 0.5
    assert all(torch.all(part.weights == 1) for part in (split.train, split.test))


def test_a_run_goes_on_with_them(files, tmp_path):
    parts = {name: str(files[name]) for name in ("validation", "test")}
    train(files["train"], out=tmp_path / "run", **parts, **QUICK)
    more = gradus.resume(tmp_path / "run", epochs=3)
    whole = train(files["train"], **parts, **{**QUICK, "epochs": 3, "schedule": "constant"})
    assert more.summary["data"]["test"] == 30
    assert whole.evaluation.num_rows == 3
    run = gradus.open_run(tmp_path / "run")
    onward = train(files["train"], start=run, target="fruit", epochs=1, **parts)
    assert onward.summary["data"]["validation"] == 20


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"test_fraction": 0.3, "test": TEST}, "test_fraction=0.3: test is given; leave it out"),
        (
            {"validation_fraction": 0.3, "validation": TEST},
            "validation_fraction=0.3: validation is",
        ),
        ({"test": {"grams": [1.0, 2.0]}}, "the table given as test: no column 'fruit'"),
        (
            {"test": {**TEST, "fruit": ["kiwi"] * 30}},
            "the table given as test: target column 'fruit' holds 'kiwi', a class that was not",
        ),
        ({"validation": 3}, "the table given as validation: of type int; give a path, a table"),
    ],
)
def test_what_is_wrong_is_one_line(options, said):
    with pytest.raises(InputError) as caught:
        train(TRAIN, **QUICK, **options)
    assert str(caught.value).startswith(said)


def test_files_go_with_files_and_with_tables_alone(files):
    with pytest.raises(InputError, match=r"^test: a dict, where the data are a file; give a file"):
        train(files["train"], test=TEST, **QUICK)
    with pytest.raises(
        InputError, match=r"^test=.*no.csv: no file of a table; give one as DATA is"
    ):
        train(files["train"], test=files["test"].with_name("no.csv"), **QUICK)
    with pytest.raises(InputError, match=r"^--test .*: does not apply to digits; leave the optio"):
        load("digits", test=str(files["test"]))
