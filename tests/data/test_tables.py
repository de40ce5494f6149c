"""The user's tables: features as scikit-learn makes them; what cannot be used is named."""

import datetime
import decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from gradus.data.partition import Parts
from gradus.data.table_options import TableOptions
from gradus.data.tables import load_table as load
from gradus.errors import InputError

N = 30
AGE = [20 + i % 13 for i in range(N)]
COLOUR = [("red", "green", "blue")[i % 3] for i in range(N)]
OK = [i % 2 == 0 for i in range(N)]
PRICE = [i * 1.25 + 0.1 for i in range(N)]
CODE = [10 * (i % 4) for i in range(N)]
COLUMNS = {"age": AGE, "colour": COLOUR, "ok": OK, "code": CODE, "price": PRICE}


def load_table(path, target, *, parts=Parts(validation=0), dtype="float64", **options):  # noqa: B008
    """What is read does not depend on whether a part is held for validation: here none is."""
    return load(path, TableOptions(target, parts=parts, dtype=dtype, **options))


def text(value):
    return "" if value is None else str(value)


def csv(columns) -> str:
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(map(text, row)) for row in rows]
    return "\n".join([",".join(columns), *lines]) + "\n"


@pytest.fixture(params=["csv", "parquet"])
def save(request, tmp_path):
    def saved(columns):
        path = tmp_path / f"own.{request.param}"
        if request.param == "csv":
            path.write_text(csv(columns))
        else:
            pq.write_table(pa.table(columns), path)
        return path

    return saved


@pytest.fixture
def write(tmp_path):
    def written(content):
        path = tmp_path / "own.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


def rows(split) -> np.ndarray:
    """All rows of x and y together, sorted: the split keeps every row, in some order."""
    parts = [
        np.column_stack([part.x.numpy(), part.y.reshape(len(part), -1).numpy()])
        for part in (split.train, split.test)
    ]
    every = np.concatenate(parts)
    return every[np.lexsort(every.T)]


def test_features_are_numbers_flags_and_one_hot_columns(save):
    split = load_table(save(COLUMNS), target="price")
    assert split.features == ("age", "colour=blue", "colour=green", "colour=red", "ok", "code")
    one_hot = OneHotEncoder(sparse_output=False).fit_transform(np.array(COLOUR)[:, None])
    expected = np.column_stack([AGE, one_hot, OK, CODE, PRICE]).astype(float)
    assert np.array_equal(rows(split), expected[np.lexsort(expected.T)])
    assert (split.task, split.target, len(split.train), len(split.test)) == (
        "regression",
        "price",
        24,
        6,
    )


@pytest.mark.parametrize(
    ("target", "options", "classes"),
    [
        ("colour", {}, ("blue", "green", "red")),
        ("code", {}, ("0", "10", "20", "30")),
        ("code", {"loss": "mse"}, None),
        ("code", {"loss": "nll"}, ("0", "10", "20", "30")),
        ("price", {}, None),
        ("price", {"categorical": ["price"]}, tuple(f"{p:.15g}" for p in PRICE)),
    ],
)
def test_targets(save, target, options, classes):
    split = load_table(save(COLUMNS), target=target, **options)
    assert split.train.classes == split.test.classes == classes
    assert split.task == ("regression" if classes is None else "classification")
    assert target not in split.features


def test_classes_keep_their_proportions(save):
    split = load_table(save(COLUMNS), target="colour", parts=Parts(0.3, 0))
    assert split.test.y.bincount().tolist() == [3, 3, 3]
    again = load_table(save(COLUMNS), target="colour", parts=Parts(0.3, 0))
    other = load_table(save(COLUMNS), target="colour", parts=Parts(0.3, 0, seed=1))
    assert torch.equal(split.test.x, again.test.x)
    assert not torch.equal(split.test.x, other.test.x)


def test_declared_and_dropped_columns(save):
    split = load_table(save(COLUMNS), target="price", categorical=["code"], drop=["age", "colour"])
    assert split.features == ("ok", "code=0", "code=10", "code=20", "code=30")


def test_standardised_over_the_training_part(save):
    plain = load_table(save(COLUMNS), target="price")
    split = load_table(save(COLUMNS), target="price", scaling="standard")
    numbers = [0, 5]
    scaler = StandardScaler().fit(plain.train.x[:, numbers].numpy())
    for part, raw in ((split.train, plain.train), (split.test, plain.test)):
        expected = raw.x.numpy().copy()
        expected[:, numbers] = scaler.transform(expected[:, numbers])
        np.testing.assert_allclose(part.x, expected, rtol=1e-12)


def test_a_category_seen_only_in_the_test_part_is_all_zero(save):
    colours = ["rare", *["red", "blue"] * 15][:N]
    path = save({"colour": colours, "y": PRICE})
    for seed in range(40):
        split = load_table(path, target="y", parts=Parts(validation=0, seed=seed))
        if 0.1 in split.test.y:
            break
    assert split.features == ("colour=blue", "colour=red")
    assert split.test.x[split.test.y[:, 0] == 0.1].tolist() == [[0.0, 0.0]]


def with_gaps(**gaps):
    columns = {name: list(values) for name, values in COLUMNS.items()}
    for name, indices in gaps.items():
        for index in indices:
            columns[name][index] = None
    return columns


@pytest.mark.parametrize("fill", ["mean", "median"])
def test_gaps_are_filled_from_the_training_part_and_said(save, fill):
    gaps = {3, 8, 20}
    split = load_table(save(with_gaps(age=gaps)), "price", missing=fill)
    assert split.features[:2] == ("age", "age=(missing)")
    row = {round(price, 6): i for i, price in enumerate(PRICE)}
    of = [[row[round(float(y), 6)] for y in part.y[:, 0]] for part in (split.train, split.test)]
    expected = getattr(np, fill)([AGE[i] for i in of[0] if i not in gaps])
    for part, rows in zip((split.train, split.test), of, strict=True):
        assert part.x[:, 1].tolist() == [float(i in gaps) for i in rows]
        filled = [expected if i in gaps else AGE[i] for i in rows]
        np.testing.assert_allclose(part.x[:, 0], filled, rtol=1e-12)
    assert sorted(of[0] + of[1]) == list(range(N))
    assert split.treatments[1][2:] == (3, f"filled with {expected:g}")


def test_missing_names_and_flags_are_said(save):
    split = load_table(save(with_gaps(colour=[1, 4], ok=[0, 9])), "price")
    assert {"colour=(missing)", "ok=(missing)"} <= set(split.features)
    assert [treatment.missing for treatment in split.treatments] == [0, 0, 2, 2, 0]


def test_rows_that_are_left_out_are_said(save):
    path = save(with_gaps(age=[3, 8], colour=[8, 9], price=[0]))
    split = load_table(path, "price", missing="drop")
    assert len(split.train) + len(split.test) == N - 4
    assert split.notes == (
        "1 of 30 rows (3.3 %) have no target, and are left out",
        "3 of 30 rows (10 %) have a missing value, and are left out (--missing drop)",
    )
    assert len(load_table(path, "price").train) + len(load_table(path, "price").test) == N - 1


def test_several_targets(save):
    split = load_table(save(COLUMNS), "price,age", standardize_target=True)
    y = split.preparation.goal.unscaled(torch.cat([split.train.y, split.test.y]).numpy())
    order = np.argsort(y[:, 0])
    np.testing.assert_allclose(y[order], np.column_stack([PRICE, AGE]), rtol=1e-12)
    np.testing.assert_allclose(split.train.y.mean(dim=0), 0, atol=1e-12)
    np.testing.assert_allclose(split.train.y.std(dim=0, correction=0), 1, rtol=1e-12)
    assert (split.target, split.task) == ("price, age", "regression")
    assert not {"price", "age"} & set(split.features)


def test_dates_become_features(save):
    days = [datetime.date(2020, 1, 1 + i) for i in range(N)]
    split = load_table(save({"day": days, "y": PRICE}), "y")
    assert split.features == ("day", "day.day of week sin", "day.day of week cos")


def test_names_of_which_all_are_rare_are_left_out(save):
    agents = [f"agent {i // 5}" for i in range(1000)]
    columns = {
        "who": agents,
        "a": [i % 7 for i in range(1000)],
        "y": [i % 11 / 2 for i in range(1000)],
    }
    split = load_table(save(columns), "y")
    assert split.features == ("a",)
    assert "names, each in less than 1 % of the rows" in split.treatments[1].done


def test_x_is_what_the_preparation_gives(save):
    split = load_table(save(COLUMNS), "price", dtype="float32")
    assert split.train.x.dtype == torch.float32
    assert split.preparation.features == split.features


def test_identifiers_of_64_bits_are_groups_of_their_own(save):
    """As float64, these are 2 numbers."""
    columns = {"id": [2**60 + i // 3 for i in range(N)], "y": PRICE, "a": AGE}
    split = load_table(save(columns), target="y", parts=Parts(test=0.3, validation=0, group="id"))
    assert split.features == ("a",)
    assert [len(split.train), len(split.test)] == [21, 9]


def test_kl_divergence_keeps_the_names(save):
    split = load_table(save(COLUMNS), target="colour", loss="kl-div")
    assert split.train.classes == ("blue", "green", "red")
    assert split.train.y.sum(dim=1).tolist() == [1.0] * 24
    assert split.train.batch()[1].dtype == torch.float64


DAYS = [datetime.date(2020, 1, 1 + i) for i in range(N)]
IDS = {"id": [f"user {i}" for i in range(N)], "y": PRICE}


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        (COLUMNS, {"target": None}, "--target; the columns are age, colour, ok, code, price"),
        (COLUMNS, {"target": "Prise"}, "--target Prise: no such column"),
        (COLUMNS, {"target": "Prise"}, "did you mean 'price'?"),
        (COLUMNS, {"drop": ["x"]}, "--drop x: no such column"),
        (COLUMNS, {"categorical": ["cod"]}, "--categorical cod: no such column"),
        (COLUMNS, {"drop": ["price"]}, "--drop price: is the target"),
        (
            COLUMNS,
            {"drop": ["code"], "categorical": ["code"]},
            "--drop code: is declared --categor",
        ),
        (COLUMNS, {"drop": ["age", "colour", "ok", "code"]}, "no column but the target 'price'"),
        (COLUMNS, {"loss": "cross-entropy"}, "--loss cross-entropy: is for classes, target column"),
        (COLUMNS, {"target": "colour", "loss": "l1"}, "--loss l1: is for numbers, target column"),
        (
            with_gaps(age=range(15), code=range(15, N)),
            {"missing": "drop"},
            "every row has a missing value ('age' (15), 'code' (15))",
        ),
        (
            with_gaps(code=[1]),
            {"missing": "mean", "parts": Parts(group="code")},
            "--group code: the column has missing values in 1 rows",
        ),
        (with_gaps(price=range(N)), {}, "the target 'price' has no values"),
        (COLUMNS, {"target": "price,prise"}, "--target prise: no such column"),
        (IDS, {"target": "y"}, "no column says anything of the target 'y': 'id' "),
        (IDS, {"target": "id"}, "target column 'id' holds free text or identifiers"),
        ({"a": DAYS, "b": AGE}, {"target": "a"}, "target column 'a' holds dates or times"),
        ({"a": [1.0, float("inf")] * 15, "y": PRICE}, {"target": "y"}, "column 'a', "),
    ],
)
def test_refused(save, columns, options, message):
    with pytest.raises(InputError) as refusal:
        load_table(save(columns), **({"target": "price"} | options))
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


GOOD = "a,b\n" + "".join(f"{i},{i / 2}\n" for i in range(9))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        (" \n\n", "the file is empty"),
        ("a,b\n", "no rows"),
        ("a,b,a\n1,2,3\n", "2 columns are named 'a'"),
        (GOOD + "1\n", ", line 11: 1 fields where the first line names 2 columns"),
        (GOOD + "\n\n1,2,3\n", ", line 13: 3 fields where"),
        (
            ("ä,b\nö,é\n" + GOOD).encode() + b"1,\xe9\n",
            ", line 13: byte 0xe9 is not UTF-8; save the file as UTF-8",
        ),
        ("1.5,2\n3,4\n", ", line 1: numbers where the names of the columns are to stand"),
        (GOOD + "abc,1\n", "column 'a', line 11: 'abc' is not a number"),
        (GOOD + "\n\nabc,1\n", "column 'a', line 13: 'abc' is not a number"),
        (GOOD.replace("\n1,", "\nx y,"), "column 'a', line 3: 'x y' is not a number"),
        (
            GOOD + "abc,1\n",
            "or leave it empty; or, if it means that none is there, --missing-values abc; or",
        ),
        (GOOD + "inf,1\n", "column 'a', line 11: infinite"),
        ('a,b,c\n"x\ny",1,1\n"z",2,2\nx,w,3\nx,5,4\n', "column 'b', line 5: 'w' is not a number"),
    ],
)
def test_csv_refused(write, content, message):
    path = write(content)
    with pytest.raises(InputError) as refusal:
        load_table(path, target="b")
    said = str(refusal.value)
    assert said.startswith(str(path))
    assert message in said
    assert "\n" not in said


def test_numbers_that_turn_real_late_are_one_column_of_reals(write):
    content = "a,b\n" + "1,2\n" * 600_000 + "1.5,3\n"
    split = load_table(write(content), target="b", loss="mse")
    assert max(split.train.x.max().item(), split.test.x.max().item()) == 1.5


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_byte_order_mark_and_line_ends(write, newline):
    split = load_table(write("\ufeff" + GOOD.replace("\n", newline)), target="b")
    assert split.features == ("a",)


@pytest.mark.parametrize("nothing", ["", "NaN", "null", "NA"])
def test_what_counts_as_missing(write, nothing):
    assert load_table(write(GOOD + f"{nothing},1\n"), "b").treatments[1].missing == 1


def test_parquet_of_other_types(tmp_path):
    path = tmp_path / "own.parquet"
    columns = {
        "size": pa.array(["s", "l"] * 10).dictionary_encode(),
        "cost": pa.array([decimal.Decimal("1.25"), decimal.Decimal("2.5")] * 10),
        "half": pa.array(np.arange(20, dtype=np.float16)),
        "__index_level_0__": pa.array(range(20)),
        "y": pa.array([0.5, float("nan")] * 10),
    }
    pq.write_table(pa.table(columns), path)
    split = load_table(path, target="y", missing="drop")
    assert split.features == ("half",)  # of the rows that have a target, the others are constant
    assert split.treatments[2].done == "left out: 1.25 in every row"
    pq.write_table(pa.table({"t": ["5", "07"] * 10, "y": PRICE[:20]}), path)
    assert load_table(path, target="y", categorical=["t"]).features == ("t=5", "t=07")
    pq.write_table(pa.table({"l": [[1]] * 20, "y": PRICE[:20]}), path)
    with pytest.raises(InputError, match="column 'l' holds list<"):
        load_table(path, target="y")


@pytest.mark.parametrize("content", [b"", b"hello", b"PAR1" + bytes(20) + b"PAR1"])
def test_damaged_parquet(tmp_path, content):
    path = tmp_path / "own.parquet"
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as Parquet") as refusal:
        load_table(path, target="y")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("target", "options", "told"),
    [
        ("ok", {}, ["predicted as 2 classes: False 50 %, True 50 %"]),
        ("code", {}, ["predicted as 4 classes: 0 25 %, 10 25 %, 20 25 %, 30 25 %"]),
        ("code", {"loss": "mse"}, ["predicted as a number: 0 to 30"]),
        ("age", {}, ["13 classes: 20 10 %, 21 10 %, 22 10 %, 23 10 %, .. and 9 more"]),
        ("price", {}, ["predicted as a number: 0.1 to 36.35"]),
        ("price", {"standardize_target": True}, ["36.35, learned less 11.97, over 7.208"]),
        ("age,price", {}, ["a number: 20 to 32", "a number: 0.1 to 36.35"]),
    ],
)
def test_how_the_target_is_taken_is_said(save, target, options, told):
    first = Parts(test=1 / 3, validation=0, split="time")  # the first 20 rows train
    split = load_table(save(COLUMNS), target, parts=first, **options)
    names = target.split(",")
    assert [treatment.column for treatment in split.treatments[: len(names)]] == names
    for treatment, part in zip(split.treatments, told, strict=False):
        assert part.lower() in treatment.done.lower()  # Parquet's booleans are true and false


@pytest.mark.parametrize(
    ("target", "loss", "message"),
    [
        (
            "price,colour",
            None,
            "target column 'colour' holds names, and several targets are numbers",
        ),
        ("colour,ok", "mse", "target column 'colour' holds names"),
        ("code,age", "cross-entropy", "--loss cross-entropy: is for classes, of which one column"),
    ],
)
def test_several_targets_are_numbers(save, target, loss, message):
    with pytest.raises(InputError, match=message):
        load_table(save(COLUMNS), target, loss=loss)
