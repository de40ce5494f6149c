"""New rows go through what was fitted in training, whatever table they come in."""

import csv
import itertools
import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import gradus
from gradus import InputError, RunSpec
from gradus.cli import main

RANDOM = np.random.default_rng(0)
N = 200
GRAMS = RANDOM.normal(150, 40, N).round(2)
COLOUR = RANDOM.choice(["red", "green", "yellow"], N)
COLUMNS = {
    "grams": [None if i % 17 == 0 else value for i, value in enumerate(GRAMS.tolist())],
    "colour": COLOUR.tolist(),
    "ripe": ["yes" if value > 0.5 else "no" for value in RANDOM.random(N)],
    "price": (3 * GRAMS + 100 * (COLOUR == "red") + 1000).round(2).tolist(),
    "fruit": ["apple" if c == "red" else "pear" for c in COLOUR],
}
CHEAP = {"hidden": (8,), "epochs": 3}


def write(path, columns):
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path)
        return path
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
    """A run that predicts classes, and one that predicts numbers, with their records."""
    found = {}
    for target in ("fruit", "price"):
        out = table.parent / target
        gradus.train(RunSpec(data=str(table), target=target, **CHEAP), out=out)
        found[target] = out
    return found


def by_hand(run, columns):
    """The outputs of the model, from the record alone and without the code that predicts."""
    record = json.loads((run.folder / "preparation.json").read_text())
    blocks = []
    for encoder in record["encoders"]:
        values = columns[encoder["name"]]
        gap = np.array([value is None for value in values])
        if encoder["kind"] == "number":
            filled = np.array([encoder["fill"] if v is None else v for v in values], float)
            z = (filled - encoder["centre"]) / encoder["scale"]
            blocks.append(z / np.sqrt(1 + (z / 3) ** 2) if encoder["soft"] else z)
            pieces = zip(itertools.pairwise(encoder["knots"]), encoder["means"], strict=True)
            for (low, high), mean in pieces if encoder["knots"] else ():
                within = np.clip((filled - low) / (high - low), 0, 1)
                blocks.append(encoder["height"] * (within - mean))
        elif encoder["kind"] == "flag":
            words = encoder["form"]["flags"]
            blocks.append(np.array([float(words.index(value)) for value in values]))
        else:
            blocks += [np.array([v == name for v in values], float) for name in encoder["names"]]
        if encoder["missing"]:
            blocks.append(gap.astype(float))
    x = torch.from_numpy(np.column_stack(blocks)).float()
    with torch.no_grad():
        return run.model(x).double().numpy(), record["goal"]


def test_classes_and_their_probabilities(folders):
    run = gradus.open_run(folders["fruit"])
    outputs, goal = by_hand(run, COLUMNS)
    found = run.predict(COLUMNS)
    assert found.column_names == ["prediction", "p(apple)", "p(pear)"]
    expected = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(run.predict_proba(COLUMNS), expected, rtol=1e-5)
    np.testing.assert_allclose(found["p(pear)"], expected[:, 1], rtol=1e-5)
    likeliest = [goal["names"][at] for at in outputs.argmax(axis=1)]
    assert found["prediction"].to_pylist() == likeliest


def test_numbers_are_in_the_unit_of_the_target(folders):
    run = gradus.open_run(folders["price"])
    outputs, goal = by_hand(run, COLUMNS)
    expected = outputs[:, 0] * goal["targets"][0]["scale"] + goal["targets"][0]["centre"]
    found = run.predict(COLUMNS)
    assert found.column_names == ["prediction"]
    np.testing.assert_allclose(found["prediction"], expected, rtol=1e-5)
    with pytest.raises(InputError, match="predicts numbers"):
        run.predict_proba(COLUMNS)


def test_a_run_just_trained_predicts_as_its_record_does(table, tmp_path):
    run = gradus.train(RunSpec(data=str(table), target="fruit", **CHEAP), out=tmp_path / "run")
    again = gradus.open_run(tmp_path / "run")
    assert run.preparation == again.preparation
    assert run.predict(table).equals(again.predict(table))


def frames():
    columns = {name: values[:20] for name, values in COLUMNS.items()}
    arrow = pa.table(columns)

    class Frame:
        """What another library offers of its frames."""

        def __arrow_c_stream__(self, requested_schema=None):
            return arrow.__arrow_c_stream__(requested_schema)

    return {
        "dict": columns,
        "arrow": arrow,
        "frame": Frame(),
        "in another order": {name: columns[name] for name in reversed(columns)},
        "with others": columns | {"new": list(range(20))},
        "without the target": {k: v for k, v in columns.items() if k != "fruit"},
    }


@pytest.mark.parametrize("kind", frames())
def test_tables_of_any_kind(folders, kind):
    run = gradus.open_run(folders["fruit"])
    assert run.predict(frames()[kind]).equals(run.predict(COLUMNS).slice(0, 20))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_files_of_any_kind(folders, tmp_path, suffix):
    run = gradus.open_run(folders["price"])
    path = write(tmp_path / f"new{suffix}", COLUMNS)
    np.testing.assert_allclose(
        run.predict(path)["prediction"], run.predict(COLUMNS)["prediction"], rtol=1e-6
    )


def test_one_row_alone(folders):
    run = gradus.open_run(folders["fruit"])
    for at in (0, 1):
        row = {name: [values[at]] for name, values in COLUMNS.items()}
        np.testing.assert_allclose(
            run.predict_proba(row)[0], run.predict_proba(COLUMNS)[at], rtol=1e-5
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"colour": None, "grams": None},
            "no column 'grams', 'colour', which the model was trained",
        ),
        ({"grams": ["heavy"] * N}, "column 'grams', row 1: 'heavy'"),
        ({"grams": [np.inf] * N}, "column 'grams', row 1: infinite"),
    ],
)
def test_tables_that_lack_what_is_needed(folders, change, message):
    run = gradus.open_run(folders["fruit"])
    table = {name: values for name, values in (COLUMNS | change).items() if values is not None}
    with pytest.raises(InputError) as refusal:
        run.predict(table)
    assert message in str(refusal.value)


def test_evaluation_is_that_of_the_test_part(table, tmp_path):
    """Of the same rows, what training recorded and what is evaluated later are one."""
    run = gradus.train(RunSpec(data=str(table), target="price", **CHEAP), out=tmp_path / "run")
    everything = run.evaluate(table)
    errors = np.array(run.predict(table)["prediction"]) - np.array(COLUMNS["price"])
    assert everything["rmse"].value == pytest.approx(np.sqrt((errors**2).mean()))
    train = gradus.data.load(table, target="price").train.y.numpy()
    away = np.array(COLUMNS["price"]) - train.mean()
    assert everything["rmse"].constant == pytest.approx(np.sqrt((away**2).mean()))


def test_evaluation_of_classes(folders):
    run = gradus.open_run(folders["fruit"])
    shares, labels = run.predict_proba(COLUMNS), np.array(COLUMNS["fruit"]) == "pear"
    found = run.evaluate(COLUMNS)
    assert found["accuracy"].value == pytest.approx((shares.argmax(axis=1) == labels).mean())
    assert found["log_loss"].value == pytest.approx(
        -np.log(shares[np.arange(N), labels.astype(int)]).mean()
    )
    kept = run.preparation.goal.shares
    assert sum(kept) == pytest.approx(1)
    constant = -np.log(np.array(kept)[labels.astype(int)]).mean()
    assert found["log_loss"].constant == pytest.approx(constant)


@pytest.mark.parametrize(
    ("target", "change", "message"),
    [
        ("fruit", {"fruit": None}, "no column 'fruit'"),
        ("fruit", {"fruit": ["plum"] * N}, "holds 'plum', a class that was not trained on"),
        ("price", {"price": [None] * N}, "no row has a target"),
    ],
)
def test_rows_that_cannot_be_evaluated(folders, target, change, message):
    run = gradus.open_run(folders[target])
    table = {name: values for name, values in (COLUMNS | change).items() if values is not None}
    with pytest.raises(InputError) as refusal:
        run.evaluate(table)
    assert message in str(refusal.value)


@pytest.mark.parametrize("where", ["elsewhere", "over itself"])
def test_an_opened_run_is_saved_whole(folders, tmp_path, where):
    folder = tmp_path / "run"
    if where == "over itself":
        shutil.copytree(folders["fruit"], folder)
    run = gradus.open_run(folder if folder.exists() else folders["fruit"])
    run.save(folder)
    for name in ("run.json", "preparation.json", "model.safetensors", "test.parquet"):
        assert (folder / name).read_bytes() == (folders["fruit"] / name).read_bytes(), name
    assert gradus.open_run(folder).predict(COLUMNS).equals(run.predict(COLUMNS))


def test_what_is_no_table_is_said(folders):
    for given in (3, np.zeros((2, 2))):
        with pytest.raises(
            gradus.InputError, match=r"the table: of type \w+; give a path, a table"
        ):
            gradus.open_run(folders["fruit"]).predict(given)


@pytest.fixture
def call(capsys):
    def called(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(list(map(str, arguments)))
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    return called


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_command_writes_all_rows(folders, table, tmp_path, call, suffix):
    out = tmp_path / f"predictions{suffix}"
    code, said, _ = call("predict", folders["fruit"], table, "--out", out)
    assert (code, said) == (0, f"{out}  200 rows\n")
    expected = gradus.open_run(folders["fruit"]).predict(table)
    if suffix == ".parquet":
        assert pq.read_table(out).equals(expected)
    else:
        with out.open() as file:
            rows = list(csv.DictReader(file))
        assert [row["prediction"] for row in rows] == expected["prediction"].to_pylist()
        np.testing.assert_allclose([float(row["p(pear)"]) for row in rows], expected["p(pear)"])
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_names_that_were_not_seen_are_said(folders, tmp_path, call):
    path = write(tmp_path / "new.csv", COLUMNS | {"colour": ["red", "blue"] * (N // 2)})
    told = "colour: 100 of 200 rows hold a name that was rare in training or not seen there"
    for more in ([], ["--out", tmp_path / "p.csv"]):
        code, _, err = call("predict", folders["fruit"], path, *more)
        assert code == 0
        assert f"{told}, such as 'blue'" in err


@pytest.mark.parametrize("command", ["predict", "predict --out", "evaluate"])
def test_numbers_far_outside_the_range_of_training_are_said(folders, tmp_path, call, command):
    path = write(tmp_path / "kilos.csv", COLUMNS | {"grams": [-1000 * g for g in GRAMS]})
    words = command.split()
    out = [str(tmp_path / "out.csv")] if "--out" in command else []
    code, _, err = call(words[0], folders["fruit"], path, *words[1:], *out)
    assert code == 0
    assert f"grams: {N} of {N} rows are far outside what trained (" in err


def test_nothing_is_replaced_unasked(folders, table, tmp_path, call):
    out = tmp_path / "p.csv"
    out.write_text("mine")
    code, _, err = call("predict", folders["fruit"], table, "--out", out)
    assert (code, out.read_text()) == (2, "mine")
    assert "is there already; give another name, or add --overwrite" in err
    assert call("predict", folders["fruit"], table, "--out", out, "--overwrite")[0] == 0
    before = table.read_text()
    code, _, err = call("predict", folders["fruit"], table, "--out", table, "--overwrite")
    assert (code, table.read_text()) == (2, before)


def test_the_command_shows_the_first_rows(folders, table, call):
    code, said, err = call("predict", folders["price"], table)
    lines = said.splitlines()
    assert (code, lines[0].strip(), len(lines)) == (0, "prediction", 11)
    first = gradus.open_run(folders["price"]).predict(table)["prediction"].to_pylist()
    shown = [float(line) for line in lines[1:]]
    np.testing.assert_allclose(shown, list(itertools.islice(first, 10)), atol=1e-4)
    assert "--out FILE writes all" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{run}", "{table}", "--out", "x.xls"], "--out x.xls: write to a file whose name ends in"),
        (["{run}", "{table}", "--out", "nowhere/x.csv"], "--out nowhere/x.csv: cannot be written"),
        (["{run}", "absent.csv"], "absent.csv"),
        (["absent", "{table}"], "absent holds no record of a run"),
    ],
)
def test_the_command_refuses_in_one_line(folders, table, call, arguments, message):
    given = [word.format(run=folders["fruit"], table=table) for word in arguments]
    code, said, err = call("predict", *given)
    assert (code, said, err.count("\n")) == (2, "", 1)
    assert message in err


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("empty.csv", ",".join(COLUMNS) + "\n", "names of columns but no rows"),
        ("letter.pdf", "Dear Sir", "a kind of file that is not read as a table; give .csv,"),
    ],
)
@pytest.mark.parametrize("command", ["predict", "predict --out", "evaluate"])
def test_a_file_without_rows_is_refused_in_one_line(
    folders, tmp_path, call, name, text, message, command
):
    (tmp_path / name).write_text(text)
    out = [str(tmp_path / "out.csv")] if "--out" in command else []
    words = command.split()
    code, said, err = call(words[0], folders["fruit"], tmp_path / name, *words[1:], *out)
    assert (code, said, err.count("\n")) == (2, "", 1)
    assert message in err
    assert not (tmp_path / "out.csv").exists()


def test_a_run_on_no_table_says_so(tmp_path, call, table):
    gradus.train(RunSpec(model="linear", epochs=1), out=tmp_path / "run")
    code, _, err = call("predict", tmp_path / "run", table)
    assert code == 2
    assert "fruit.csv: is no array, and the model was trained on such" in err
    (tmp_path / "run" / "preparation.json").unlink()
    code, _, err = call("predict", tmp_path / "run", table)
    assert code == 2
    assert "holds no preparation.json: it was trained on digits by an earlier version" in err
