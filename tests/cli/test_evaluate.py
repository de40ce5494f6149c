"""`gradus evaluate` says in a table what `Run.evaluate` finds."""

import csv

import numpy as np
import pytest
import torch

import gradus
from gradus import InputError, RunSpec
from gradus.cli import main

RANDOM = np.random.default_rng(0)
N = 120
GRAMS = RANDOM.normal(150, 40, N).round(2)
COLUMNS = {
    "grams": GRAMS.tolist(),
    "price": (3 * GRAMS + 1000 + RANDOM.normal(0, 9, N)).round(2).tolist(),
    "fruit": ["apple" if grams > 150 else "pear" for grams in GRAMS],
}
KNOWING = {"hidden": (8,), "epochs": 20, "keep": "last", "patience": None}
IGNORANT = {"model": "linear", "epochs": 1, "lr": 1e-9, "method": "sgd"}


def write(path, columns):
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        rows.writerows(zip(*columns.values(), strict=True))
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write(tmp_path_factory.mktemp("fruit") / "fruit.csv", COLUMNS)


@pytest.fixture(scope="module")
def folders(table):
    out = table.parent
    for name, target, options in [
        ("fruit", "fruit", KNOWING),
        ("price", "price", KNOWING),
        ("ignorant", "fruit", IGNORANT),
    ]:
        gradus.train(RunSpec(data=str(table), target=target, **options), out=out / name)
    return out


@pytest.fixture
def call(capsys):
    def called(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["evaluate", *map(str, arguments)])
        return ended.value.code, *capsys.readouterr()

    return called


def cells(said):
    """The rows of the table, by name: what stands in them, without units."""
    return {
        line[: line.index("  ")].strip(): line[line.index("  ") :].split()
        for line in said.splitlines()
        if "  " in line
    }


def test_figures_stand_in_the_table_of_train(folders, table, call):
    code, said, err = call(folders / "price", table)
    assert (code, err.count("\n")) == (0, 1)
    assert f"{table}: is what the run was trained on, and most of its rows are known to it" in err
    found = gradus.open_run(folders / "price").evaluate(table)
    rows = cells(said)
    assert said.splitlines()[0].split() == ["fruit.csv", "(120)", "95", "%", "interval", "constant"]
    for name, figure in [("RMSE", "rmse"), ("MAE", "mae"), ("R²", "r2")]:
        value, low, _, high, constant = (cell.replace(",", "") for cell in rows[name][:5])
        expected = found[figure]
        np.testing.assert_allclose(
            [float(value), float(low), float(high), float(constant)],
            [expected.value, expected.low, expected.high, expected.constant],
            atol=5e-4 * abs(expected.value) + 5e-4,
        )


def test_rows_without_a_target_are_counted(folders, tmp_path, call):
    gaps = ["" if at % 4 == 0 else name for at, name in enumerate(COLUMNS["fruit"])]
    path = write(tmp_path / "gaps.csv", COLUMNS | {"fruit": gaps})
    code, said, err = call(folders / "fruit", path)
    assert (code, err) == (0, f"gradus: {path}: 30 rows have no target, and are left out\n")
    assert said.startswith("gaps.csv (90)")
    accuracy = gradus.open_run(folders / "fruit").evaluate(path)["accuracy"].value
    assert f"{100 * accuracy:.2f} %" in said


def test_a_model_that_answers_one_class_is_told(folders, table, tmp_path, call):
    """No step was taken to speak of: with zero parameters every row has the same answer."""
    folder = tmp_path / "run"
    run = gradus.open_run(folders / "ignorant")
    for parameter in run.model.parameters():
        torch.nn.init.zeros_(parameter)
    run.save(folder)
    code, said, _ = call(folder, table)
    assert code == 0
    assert f"answers 'apple' in {N} of {N} cases" in said
    assert "no figure is better than that of the best constant prediction" in said


def test_a_model_that_gives_no_numbers_is_refused(folders, table):
    run = gradus.open_run(folders / "price")
    next(run.model.parameters()).data.fill_(torch.nan)
    with pytest.raises(InputError, match="gives what is no finite number"):
        run.evaluate(table)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{out}/fruit", "absent.csv"], "absent.csv"),
        (["{out}/absent", "{table}"], "holds no record of a run"),
        (["{table}", "{out}/fruit"], "is a file, not the folder of a run (which comes first"),
        (["{out}/fruit", "{out}/no-target.csv"], "no column 'fruit'"),
    ],
)
def test_what_is_wrong_is_one_line(folders, table, call, arguments, message):
    write(folders / "no-target.csv", {"grams": COLUMNS["grams"]})
    code, said, err = call(*(word.format(out=folders, table=table) for word in arguments))
    assert (code, said, err.count("\n")) == (2, "", 1)
    assert message in err
