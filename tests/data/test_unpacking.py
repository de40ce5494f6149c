"""Files that promise more than they hold are refused before anything of that size is read."""

import gzip
import io
import os
import tracemalloc
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gradus.data.columns import recognise
from gradus.data.idx import read_idx
from gradus.data.loading import load
from gradus.data.reading import read_source
from gradus.data.unpacking import MOST_TIMES, SMALL
from gradus.errors import InputError

MANY = SMALL + 1
"""Bytes of zeros that the bombs hold: gzip keeps them in a thousandth."""


def refusal_of(read, *arguments, **options):
    """What a reader says, which has to be one line, and the bytes that it held at most."""
    tracemalloc.start()
    try:
        with pytest.raises(InputError) as refusal:
            read(*arguments, **options)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    said = str(refusal.value)
    assert "\n" not in said
    assert len(said) <= 400
    return said, peak


def idx_header(*shape):
    return bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4) for size in shape)


@pytest.fixture(scope="module")
def zeros():
    return bytes(MANY)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((10,), "declares shape [10], so 10 bytes, the file holds more"),
        ((MANY,), f"promises {MANY + 8:,} bytes out of"),
        ((2**32 - 1,), "promises 4,294,967,303 bytes out of"),
    ],
)
def test_a_gzip_bomb_as_idx(tmp_path, zeros, shape, message):
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(idx_header(*shape))
        file.write(zeros)
    said, peak = refusal_of(read_idx, path, rank=1)
    assert message in said
    assert peak < SMALL / 8


@pytest.mark.parametrize("shape", [(2**32 - 1,) * 3, (0, 2**32 - 1, 2**32 - 1), (2,) * 255])
@pytest.mark.parametrize("compress", [False, True])
def test_idx_of_huge_dimensions(tmp_path, shape, compress):
    path = tmp_path / "huge"
    path.write_bytes(gzip.compress(idx_header(*shape)) if compress else idx_header(*shape))
    _, peak = refusal_of(read_idx, path)
    assert peak < SMALL / 8


def npy(header, content=b"", version=b"\x01\x00"):
    """A .npy file whose header is this text."""
    text = header.encode()
    size = len(text).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    return b"\x93NUMPY" + version + size + text + content


def described(shape, dtype="|u1"):
    return f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}\n"


def save(path, x, y=None, compression=zipfile.ZIP_DEFLATED):
    whole = io.BytesIO()
    np.save(whole, np.arange(10) % 2)
    with zipfile.ZipFile(path, "w", compression, compresslevel=1) as file:
        file.writestr("x.npy", x)
        file.writestr("y.npy", whole.getvalue() if y is None else y)
    return path


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (npy("(" * 9_000), "damaged"),
        (npy("((((\n"), "damaged"),
        (npy("'\n"), "damaged"),
        (npy("{'descr': "), "damaged"),
        (npy("[" * 60_000), "damaged"),
        (npy(described("(10, 2**40)")), "damaged"),
        (npy(described("(-10,)")), "no array has shape [-10]"),
        (npy(described("(99999999999999999999,)")), "no array has shape"),
        (npy(described("(10, 1000000)")), "declares shape [10, 1000000], so 10,000,000 bytes"),
        (npy(described(str((1,) * 200)), b"\0"), "no array has shape [1, 1, 1, 1, 1, 1, ..]"),
        (npy(described("(0, 4611686018427387903)")), "array 'x' is empty"),
        (npy(described("(10,)", "|O"), b"\0" * 80), "holds Python objects, which are never read"),
        (npy(described("(10,)", "<f8"), b"\0" * 79), "so 80 bytes, the file holds 79"),
        (
            npy(described("(10,)"), b"\0" * 10, b"\x09\x00"),
            "has named fields, or a type of a newer NumPy",
        ),
        (b"", "damaged"),
        (b"\x80\x04N.", "damaged"),
        (npy(described("(1,)", "<U1"), b"\xff\xff\xff\xff"), "characters that do not exist"),
    ],
)
def test_npz_headers_that_lie(tmp_path, x, message):
    said, peak = refusal_of(load, save(tmp_path / "own.npz", x))
    assert message in said
    assert peak < SMALL / 8


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (b"", "damaged"),
        (b"\x80\x04N.", "damaged"),
        (npy("{'descr': "), "damaged"),
        (npy(described("(10, 1000000)")), "declares shape [10, 1000000], so 10,000,000 bytes, and"),
        (npy(described("(10,)", "|O"), b"\0" * 80), "holds Python objects, which are never read"),
        (npy(described("(10,)"), b"\0" * 11), "so 10 bytes, and holds 11"),
        (npy(described("(1,)", "<U1"), b"\xff\xff\xff\xff"), "characters that do not exist"),
        (npy(described("(0, 4611686018427387903)")), "is empty"),
    ],
)
def test_npy_headers_that_lie(tmp_path, x, message):
    (tmp_path / "x.npy").write_bytes(x)
    np.save(tmp_path / "y.npy", np.arange(10) % 2)
    said, peak = refusal_of(load, tmp_path / "x.npy", target=str(tmp_path / "y.npy"))
    assert message in said
    assert peak < SMALL / 8


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_zip_bomb_as_npz(tmp_path, zeros, method):
    x = npy(described(f"({len(zeros)},)"), zeros)
    path = save(tmp_path / "bomb.npz", x, compression=method)
    said, peak = refusal_of(load, path)
    assert f"promises {len(x):,} bytes out of" in said
    assert "save it again, by numpy.savez" in said
    assert peak < SMALL / 8


def test_npz_of_every_layout_is_read_as_numpy_reads_it(tmp_path):
    values = np.random.default_rng(0).normal(size=(12, 3))
    for name, x in {
        "columns first": np.asfortranarray(values),
        "big endian": values.astype(">f8"),
        "half": values.astype(np.float16),
        "long header": values,
    }.items():
        path = tmp_path / "own.npz"
        np.savez_compressed(path, x=x, y=np.arange(12) % 2)
        split = load(path, validation_fraction=0, dtype="float64")
        found = np.concatenate([split.train.x.numpy(), split.test.x.numpy()])
        assert np.array_equal(np.sort(found, axis=0), np.sort(x.astype(float), axis=0)), name


def test_parquet_that_repeats_one_value_for_ever(tmp_path):
    path = tmp_path / "bomb.parquet"
    rows = SMALL // 4
    pq.write_table(pa.table({"a": pa.nulls(rows, pa.int8()), "b": pa.nulls(rows, pa.int8())}), path)
    assert 16 * rows > MOST_TIMES * path.stat().st_size
    said, _ = refusal_of(load, path, target="a")
    assert f"promises {16 * rows:,} bytes out of" in said


def test_parquet_that_repeats_a_long_word_keeps_it_once(tmp_path):
    path = tmp_path / "words.parquet"
    word = "long " * 4_000
    column = pa.DictionaryArray.from_arrays(
        np.arange(2_000, dtype=np.int32) % 2, [word + "a", word + "b"]
    ).cast(pa.string())
    pq.write_table(pa.table({"text": column, "y": np.arange(2_000) % 2}), path)
    source = read_source(path)
    assert source.arrow.nbytes < 10 * len(word)
    column = recognise("text", source.arrow["text"], file="words.parquet")
    assert column.words == (word + "a", word + "b")
    assert column.values.nbytes < 10 * 2_000


def bad_text(array):
    """The same column with a byte in its text that is no UTF-8."""
    content = array.buffers()[2].to_pybytes().replace(b"red", b"r\xffd")
    return pa.StringArray.from_buffers(len(array), array.buffers()[1], pa.py_buffer(content))


@pytest.mark.parametrize("dictionary", [True, False])
def test_parquet_with_text_that_is_no_utf8(tmp_path, dictionary):
    path = tmp_path / "own.parquet"
    column = bad_text(pa.array(["red", "blue"] * 10))
    pq.write_table(pa.table({"a": column, "y": range(20)}), path, use_dictionary=dictionary)
    said, _ = refusal_of(load, path, target="y")
    assert "cannot be read as Parquet" in said
    assert "UTF8" in said


def test_parquet_with_a_list_that_holds_more_than_memory(tmp_path):
    path = tmp_path / "own.parquet"
    lists = pa.ListArray.from_arrays([0, 0, SMALL // 4], pa.nulls(SMALL // 4, pa.int64()))
    table = pa.table({"y": ["no", "yes"] * 5, "x": range(10)})
    pq.write_table(table.append_column("a", pa.chunked_array([lists.take([0] * 9 + [1])])), path)
    before = pa.total_allocated_bytes()
    source = read_source(path)
    assert source.names == ["y", "x", "a"]
    assert pa.total_allocated_bytes() - before < SMALL / 8
    assert load(path, target="y", drop=["a"]).features == ("x",)
    said, _ = refusal_of(load, path, target="y")
    assert "column 'a' holds list<element: int64>; numbers, booleans" in said


def test_parquet_types_that_arrow_cannot_convert(tmp_path):
    path = tmp_path / "own.parquet"
    column = pa.array(range(20), pa.timestamp("s", tz="Nowhere/City"))
    pq.write_table(pa.table({"a": column, "y": range(20)}), path)
    said, _ = refusal_of(load, path, target="y", categorical=["a"])
    assert "column 'a' cannot be read" in said


def test_a_table_has_a_bounded_number_of_columns(tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text(",".join(f"a{i}" for i in range(50_001)) + "\n")
    said, _ = refusal_of(load, path, target="a0")
    assert "50,001 columns, more than 50,000; give so many as an array" in said


@pytest.mark.parametrize(("end", "place"), [("", "line 12"), ("\n", "row 11")])
def test_a_csv_field_that_pythons_csv_does_not_take(tmp_path, end, place):
    path = tmp_path / "own.csv"
    path.write_text("a,b\n" + f'"{"x" * 200_000}{end}",2\n' + "1,2\n" * 9 + "1,2,3\n")
    said, _ = refusal_of(load, path, target="b")
    assert f"{place}: 3 fields where the first line names 2 columns" in said


@pytest.mark.parametrize(
    "suffix", ["csv", "csv.gz", "parquet", "arrow", "jsonl", "xlsx", "npz", "npy"]
)
@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "dangling", "circle"])
def test_what_is_no_file(tmp_path, suffix, kind):
    path = tmp_path / f"own.{suffix}"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to({"device": "/dev/zero", "dangling": "nowhere", "circle": path}[kind])
    np.save(tmp_path / "y.npy", np.arange(10))
    targets = {"npz": None, "npy": str(tmp_path / "y.npy")}
    said, _ = refusal_of(load, path, target=targets.get(suffix, "y"))
    assert str(path) in said


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "dangling", "circle"])
def test_what_is_no_idx_file(tmp_path, kind):
    path = tmp_path / "labels"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to({"device": "/dev/zero", "dangling": "nowhere", "circle": path}[kind])
    said, _ = refusal_of(read_idx, path)
    assert said.startswith(f"{path}: cannot be read (")
