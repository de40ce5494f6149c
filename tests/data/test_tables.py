"""The user's tables: features as scikit-learn makes them; what cannot be used is named."""

import datetime
import decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from gradus.data import tables
from gradus.data.partition import Parts
from gradus.errors import InputError

N = 30
AGE = [20 + i % 13 for i in range(N)]
COLOUR = [("red", "green", "blue")[i % 3] for i in range(N)]
OK = [i % 2 == 0 for i in range(N)]
PRICE = [i * 1.25 + 0.1 for i in range(N)]
CODE = [10 * (i % 4) for i in range(N)]
COLUMNS = {"age": AGE, "colour": COLOUR, "ok": OK, "code": CODE, "price": PRICE}


def load_table(path, *, parts=Parts(validation=0), **options):  # noqa: B008
    """What is read does not depend on whether a part is held for validation: here none is."""
    return tables.load_table(path, parts=parts, **options)


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
        ("ok", {}, ("false", "true")),
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
    split = load_table(save(COLUMNS), target="price", standardize=True)
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


def test_gaps_take_the_mean_of_the_training_part(save):
    path = save(with_gaps(age=[3, 8, 20]))
    split = load_table(path, target="price", missing="mean")
    train, test = (set(np.round(part.y[:, 0].numpy(), 6)) for part in (split.train, split.test))
    gaps = {3, 8, 20}
    mean = np.mean([AGE[i] for i in range(N) if round(PRICE[i], 6) in train and i not in gaps])
    for part, prices in ((split.train, train), (split.test, test)):
        filled = [i for i in gaps if round(PRICE[i], 6) in prices]
        assert (np.isclose(part.x[:, 0], mean, rtol=1e-12)).sum() >= len(filled)
    assert len(train | test) == N


def test_rows_with_gaps_are_dropped(save):
    split = load_table(
        save(with_gaps(age=[3, 8], colour=[8, 9], price=[0])), target="price", missing="drop"
    )
    assert len(split.train) + len(split.test) == N - 4


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
    assert split.train.batch()[1].dtype == torch.float32


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
            with_gaps(age=[1, 2], colour=[5]),
            {},
            "missing values in 'age' (2), 'colour' (1); choose",
        ),
        (with_gaps(age=[1, 2]), {}, "choose --missing mean | drop"),
        (with_gaps(price=[1]), {}, "choose --missing drop, or"),
        (with_gaps(price=[1]), {"missing": "mean"}, "the target column 'price'"),
        (with_gaps(colour=[1]), {"missing": "mean"}, "column 'colour'"),
        (with_gaps(ok=[1]), {"missing": "mean"}, "column 'ok'"),
        (with_gaps(age=range(N)), {}, "column 'age' has no values; use --drop age"),
        (
            with_gaps(age=range(15), code=range(15, N)),
            {"missing": "drop"},
            "every row has a missing value ('age' (15), 'code' (15))",
        ),
        (
            with_gaps(price=[1]),
            {"missing": "mean"},
            "has missing values (1), which cannot be made up",
        ),
        (with_gaps(ok=[1]), {"missing": "mean"}, "has missing values (1); use --missing drop"),
        (
            with_gaps(code=[1]),
            {"missing": "mean", "parts": Parts(group="code")},
            "--group code: the column has missing values in 1 rows",
        ),
        (IDS, {"target": "y"}, "column 'id' is text that differs in 30 of 30 rows"),
        (IDS, {"target": "y"}, "use --drop id"),
        (IDS, {"target": "id"}, "use another --target"),
        ({"a": [1.0, float("inf")] * 15, "y": PRICE}, {"target": "y"}, "column 'a', "),
        (
            {"day": [datetime.date(2020, 1, 1 + i) for i in range(N)], "y": PRICE},
            {"target": "y"},
            "column 'day' holds dates or times",
        ),
        (
            {"n": [f"k{i}" for i in range(1001)], "y": range(1001)},
            {"target": "y", "categorical": ["n"]},
            "column 'n' has 1,001 distinct values, more than 1,000; use --drop n",
        ),
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
        (GOOD + "abc,1\n", "column 'a', line 11: 'abc' is not a number; mend it"),
        (GOOD + "\n\nabc,1\n", "column 'a', line 13: 'abc' is not a number"),
        (GOOD.replace("\n1,", "\nx y,"), "column 'a', line 3: 'x y' is not a number"),
        (
            GOOD + "abc,1\n",
            "--missing mean | drop; or, if these are names, declare --categorical a",
        ),
        (
            GOOD + "1,abc\n",
            "column 'b', line 11: 'abc' is not a number; mend it, or leave it empty "
            "and use --missing drop;",
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
    with pytest.raises(InputError, match=r"missing values in 'a' \(1\)"):
        load_table(write(GOOD + f"{nothing},1\n"), target="b")


def test_parquet_of_other_types(tmp_path):
    path = tmp_path / "own.parquet"
    columns = {
        "size": pa.array(["s", "l"] * 10).dictionary_encode(),
        "cost": pa.array([decimal.Decimal("1.25")] * 20),
        "half": pa.array(np.arange(20, dtype=np.float16)),
        "__index_level_0__": pa.array(range(20)),
        "y": pa.array([0.5, float("nan")] * 10),
    }
    pq.write_table(pa.table(columns), path)
    split = load_table(path, target="y", missing="drop")
    assert split.features == ("size=s", "cost", "half")
    assert split.train.x[:, 1].tolist() == [1.25] * 8
    pq.write_table(pa.table({"t": ["5", "07"] * 10, "y": PRICE[:20]}), path)
    with pytest.raises(InputError, match="column 't' holds numbers stored as text"):
        load_table(path, target="y")
    assert load_table(path, target="y", categorical=["t"]).features == ("t=07", "t=5")
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
