"""Rows that are streamed are those of the table, each once an epoch, prepared as in memory."""

import dataclasses
import os

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import torch

from gradus.data.columns import recognise
from gradus.data.partition import Parts
from gradus.data.preparation import Preparation, fit
from gradus.data.streaming import Cache
from gradus.data.streaming.parts import TEST, TRAIN, VALIDATION, Shares
from gradus.data.streaming.stream import stream_table
from gradus.data.table_options import TableOptions
from gradus.errors import InputError

HOW = {"drop": ("size",), "dtype": "float64"}


def streamed(path, target="label", buffer=300, **options):
    how = TableOptions(target, **{**HOW, **options})
    return stream_table(path, how, Cache(path.parent / "cache"), buffer=buffer)


def batches(order, epoch, first=0):
    found = []
    for buffer in order.buffers(epoch, first):
        index = torch.from_numpy(buffer.order)
        for at in range(0, len(index), order.batch_size):
            found.append(buffer.data.x[index[at : at + order.batch_size]].clone())
    return found


def sorted_rows(x):
    return x[np.lexsort(x.T)]


@pytest.mark.parametrize("scaling", ["standard", "robust", "none"])
@pytest.mark.parametrize("missing", ["mean", "median", "drop"])
def test_rows_are_prepared_as_those_of_a_table_in_memory(table, rows, scaling, missing):
    split = streamed(table, scaling=scaling, missing=missing)
    part = Shares.of(Parts(), len(rows["a"])).dealt(0, len(rows["a"]))
    usable = np.array([each is not None for each in rows["gaps"]]) | (missing != "drop")
    arrow = pa.table(rows)
    names = ["a", "gaps", "sold", "colour", "when"]
    columns = [recognise(name, arrow[name], file="t") for name in names]
    fill = "median" if missing == "drop" else missing
    train = np.flatnonzero((part == TRAIN) & usable)
    encoders = tuple(fit(column.rows(train), scaling, fill) for column in columns)
    memory = Preparation(encoders=encoders, goal=split.preparation.goal)
    assert split.features == memory.features
    for which, data in ((VALIDATION, split.validation), (TEST, split.test)):
        expected = memory.inputs(columns, "float64", np.flatnonzero((part == which) & usable))
        np.testing.assert_allclose(data.x, expected, rtol=1e-9, atol=1e-9)
    order = dataclasses.replace(split.order, batch_size=7)
    found = torch.cat(batches(order, 0)).numpy()
    expected = memory.inputs(columns, "float64", train)
    np.testing.assert_allclose(sorted_rows(found), sorted_rows(expected), rtol=1e-9, atol=1e-9)
    labels = np.array(rows["label"])[train]
    shares = [(labels == name).mean() for name in ("no", "yes")]
    assert split.preparation.goal.shares == pytest.approx(shares)


def test_numbers_to_predict_are_scaled_by_the_rows_that_train(table, rows):
    split = streamed(table, "size", drop=("label",), standardize_target=True)
    part = Shares.of(Parts(), len(rows["a"])).dealt(0, len(rows["a"]))
    y = np.array(rows["size"])
    (quantity,) = split.preparation.goal.targets
    train = y[part == TRAIN]
    found = quantity.centre, quantity.scale, quantity.median
    assert found == pytest.approx((train.mean(), train.std(), np.median(train)))
    expected = ((y[part == TEST] - train.mean()) / train.std())[:, None]
    np.testing.assert_allclose(split.test.y, expected)


@pytest.mark.parametrize("size", [1, 7, 64, 299, 600])
def test_an_epoch_visits_every_row_once_in_an_order_of_its_own(table, size):
    order = dataclasses.replace(streamed(table).order, batch_size=size, seed=3)
    one, again, other = batches(order, 0), batches(order, 0), batches(order, 1)
    assert [len(batch) for batch in one] == order.sizes.tolist()
    assert all(map(torch.equal, one, again))
    assert not torch.equal(torch.cat(one), torch.cat(other))
    seeded = batches(dataclasses.replace(order, seed=4), 0)
    assert not torch.equal(torch.cat(one), torch.cat(seeded))
    everything = sorted_rows(torch.cat(one).numpy())
    assert len(everything) == order.n
    assert (everything == sorted_rows(torch.cat(other).numpy())).all()


@pytest.mark.parametrize("size", [7, 64, 299])
def test_an_epoch_goes_on_in_the_middle_as_if_it_had_not_stopped(table, size):
    order = dataclasses.replace(streamed(table).order, batch_size=size)
    whole = batches(order, 2)
    for step in range(order.steps):
        buffers = order.buffers(2, step)
        first = next(buffers).first
        buffers.close()
        assert first <= step
        assert all(map(torch.equal, batches(order, 2, step), whole[first:]))


def test_batches_of_a_sorted_table_are_uniform_samples(tmp_path):
    n, size = 6000, 50
    pq.write_table(
        pa.table({"x": np.arange(n) * 1.0 + 0.5, "y": np.arange(n) % 2}), tmp_path / "t.parquet"
    )
    split = stream_table(
        tmp_path / "t.parquet", TableOptions("y", scaling="standard"), Cache(tmp_path), buffer=500
    )
    order = dataclasses.replace(split.order, batch_size=size)
    means = np.array([float(x.mean()) for x in batches(order, 0)[:-1]])
    # Of uniform samples size * Var(mean) is 1; of 70 of them it is known to a sixth.
    assert size * means.var() == pytest.approx(1, abs=0.5)


def test_prepared_rows_are_found_again_until_the_table_or_an_option_changes(table):
    first = streamed(table)
    kept = list((table.parent / "cache").iterdir())
    assert "were prepared before" in streamed(table).notes[-1]
    assert list((table.parent / "cache").iterdir()) == kept
    assert "were prepared before" not in streamed(table, missing="mean").notes[-1]
    arrow = pq.read_table(table)
    pq.write_table(arrow.slice(1), table)
    changed = streamed(table)
    assert "were prepared before" not in changed.notes[-1]
    assert changed.order.digest != first.order.digest


def test_without_a_cache_nothing_stays(table):
    folder = table.parent / "cache"
    split = stream_table(table, TableOptions("label"), Cache(folder, stays=False))
    assert sum(len(x) for x in batches(split.order, 0)) == split.trains
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "flipped at its end", "empty"])
def test_a_damaged_cache_is_prepared_anew(table, damage):
    digest = streamed(table).order.digest
    (kept,) = (table.parent / "cache").iterdir()
    content = bytearray(kept.read_bytes())
    if damage == "cut":
        content = content[:-100]
    elif damage == "empty":
        content = b""
    else:
        content[-40] ^= 1
    kept.write_bytes(content)
    split = streamed(table)
    assert "were prepared before" not in split.notes[-1]
    assert split.order.digest == digest


def test_rows_that_change_under_a_run_end_it_in_one_line(table):
    order = streamed(table).order
    (kept,) = (table.parent / "cache").iterdir()
    with kept.open("r+b") as file:
        file.write(b"\xff" * (kept.stat().st_size // 2))
    with pytest.raises(InputError, match=r"prepared rows are damaged"):
        list(order.buffers(0))
    os.truncate(kept, 100)
    with pytest.raises(InputError, match=r"prepared rows are damaged"):
        list(order.buffers(0))


def test_a_folder_of_files_is_one_table(table, rows):
    folder = table.parent / "parts"
    folder.mkdir()
    arrow = pa.table(rows)
    for at in range(4):
        pq.write_table(arrow.slice(250 * at, 250), folder / f"{at}.parquet")
    (folder / "_SUCCESS").touch()
    one, other = streamed(table), streamed(folder)
    assert one.features == other.features
    torch.testing.assert_close(one.test.x, other.test.x)  # means of other pieces: to rounding
    torch.testing.assert_close(batches(one.order, 0), batches(other.order, 0))


def test_text_is_streamed_as_parquet_is(table, rows):
    text = table.with_suffix(".csv")
    pyarrow.csv.write_csv(pa.table(rows), text)
    one, other = streamed(table), streamed(text)
    assert one.features == other.features
    assert abs(one.trains - other.trains) < 100  # how many rows there are is an estimate of text


def test_what_is_alike_in_the_first_rows_only_is_kept(tmp_path):
    x = np.r_[np.zeros(500), np.linspace(2, 3, 500)]
    y = np.r_[np.zeros(600), np.ones(400)]
    pq.write_table(pa.table({"x": x, "one": np.ones(1000), "y": y}), tmp_path / "t.parquet")
    split = stream_table(tmp_path / "t.parquet", TableOptions("y"), Cache(tmp_path))
    assert (split.features, split.train.classes) == (("x",), ("0", "1"))
    assert split.treatments[-1].done == "left out: 1 in every row that trains"


def without(rows, *names):
    return {name: values for name, values in rows.items() if name not in names}


BAD = {
    "another schema": (
        lambda rows: {"a.parquet": rows, "b.parquet": without(rows, "gaps")},
        {},
        r"b\.parquet: lacks the column 'gaps'",
    ),
    "one more": (
        lambda rows: {"a.parquet": without(rows, "gaps"), "b.parquet": rows},
        {},
        r"b\.parquet: has a column 'gaps'",
    ),
    "another type": (
        lambda rows: {"a.parquet": rows, "b.parquet": {**rows, "a": ["x"] * len(rows["a"])}},
        {},
        r"b\.parquet: column 'a', row 1: 'x' cannot be read",
    ),
    "several kinds": (
        lambda rows: {"a.parquet": rows, "b.feather": rows},
        {},
        r"tables of several kinds",
    ),
    "a partition": (lambda rows: {"day=1/a.parquet": rows}, {}, r"'day=1' is no column here"),
    "nothing": (lambda rows: {}, {}, r"the folder holds no table"),
    "no target": (lambda rows: {"a.parquet": rows}, {"target": None}, r"say which column"),
    "no such target": (
        lambda rows: {"a.parquet": rows},
        {"target": "labl"},
        r"did you mean 'label'",
    ),
    "one class": (
        lambda rows: {"a.parquet": {**rows, "label": ["no"] * len(rows["a"])}},
        {},
        r"one class only",
    ),
    "by group": (
        lambda rows: {"a.parquet": rows},
        {"parts": Parts(group="colour")},
        r"--group colour: needs all rows at once",
    ),
    "by time": (
        lambda rows: {"a.parquet": rows},
        {"parts": Parts(split="time")},
        r"--split time: needs all rows at once",
    ),
    "weights": (lambda rows: {"a.parquet": rows}, {"weights": "a"}, r"--weights a: needs all"),
    "numbers for classes": (
        lambda rows: {"a.parquet": rows},
        {"target": "size", "drop": ("label",), "loss": "cross-entropy"},
        r"is for classes",
    ),
    "few rows": (
        lambda rows: {"a.parquet": {name: values[:3] for name, values in rows.items()}},
        {"drop": ("size", "when")},
        r"too few rows|one class only|no column says",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_streamed_is_said_in_one_line(case, rows, tmp_path):
    make, options, said = BAD[case]
    folder = tmp_path / "table"
    folder.mkdir()
    for name, content in make(rows).items():
        (folder / name).parent.mkdir(exist_ok=True)
        if name.endswith(".feather"):
            pa.feather.write_feather(pa.table(content), folder / name)
        else:
            pq.write_table(pa.table(content), folder / name)
    options = {"target": "label", **HOW, **options}
    with pytest.raises(InputError, match=said) as caught:
        stream_table(folder, TableOptions(**options), Cache(tmp_path / "cache"))
    assert "\n" not in str(caught.value)
    left = tmp_path / "cache"
    assert not left.exists() or not any(name.suffix == ".part" for name in left.iterdir())


def test_a_folder_without_room_is_said(table, monkeypatch):
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(InputError, match=r"GB are needed there"):
        streamed(table)
