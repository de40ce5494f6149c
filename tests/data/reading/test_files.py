"""A file is read whole or in pieces, to the same; what is none of its kind is refused."""

import gzip
import io
import sqlite3

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from gradus.data.reading import (
    KINDS,
    SUFFIXES,
    csv_files,
    read_source,
    reading_ahead,
    source,
    stream,
)
from gradus.errors import InputError

N = 500


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(csv_files, "PIECE", 1000)
    for module in ("parquet", "feather"):
        monkeypatch.setattr(f"gradus.data.reading.{module}.rows_of_piece", lambda columns: 70)


def lines(end="\n", quote='"'):
    names = ["red", f"light{end}blue", "5,5"] if quote else ["red", "blue"]
    rows = (f"{i},{i / 4},{quote}{names[i % len(names)]}{quote}{end}" for i in range(N))
    return f"id,x,name{end}" + "".join(rows)


CSV = {
    "plain": lines(quote=""),
    "quoted": lines(),
    "windows": lines("\r\n"),
    "old": lines("\r"),
    "literal": lines().replace("red", '5" red').replace('"5" red"', '5" red'),
    "spaced": lines().replace(',"', ', "'),
    "blank lines": lines(quote="").replace("\n", "\n\n"),
}


@pytest.mark.parametrize("kind", CSV)
def test_pieces_of_csv_are_the_whole(tmp_path, small_pieces, kind):
    path = tmp_path / "own.csv"
    path.write_text(CSV[kind], newline="")
    whole, pieces = read_source(path), list(stream(path))
    assert len(pieces) > 5
    row = 0
    for piece in pieces:
        count = piece.arrow.num_rows
        for name in whole.names:
            expected = whole.arrow[name].slice(row, count).to_pylist()
            assert piece.arrow[name].to_pylist() == expected
            assert piece.text(name).to_pylist() == whole.text(name).slice(row, count).to_pylist()
        for at in (0, count - 1):
            assert piece.place(at) == whole.place(row + at)
        row += count
    assert row == N


def table():
    return pa.table(
        {
            "id": range(N),
            "x": np.arange(N) / 4,
            "name": [("red", "blue", None)[i % 3] for i in range(N)],
            "list": [[i] for i in range(N)],
        }
    )


@pytest.mark.parametrize("suffix", ["parquet", "feather", "arrow"])
def test_pieces_of_binary_files_are_the_whole(tmp_path, small_pieces, suffix):
    path = tmp_path / f"own.{suffix}"
    WRITE[suffix](table(), path)
    whole, pieces = read_source(path), list(stream(path))
    assert len(pieces) == (-(-N // 70) if suffix != "arrow" else -(-300 // 70) + -(-200 // 70))
    assert [piece.place(3) for piece in pieces[:2]] == ["row 4", "row 74"]
    assert pa.concat_tables(piece.arrow for piece in pieces).to_pydict() == whole.arrow.to_pydict()
    assert whole.arrow["list"].null_count == N
    assert whole.arrow.schema.field("list").type == pa.list_(pa.int64())
    assert whole.arrow["name"].to_pylist() == table()["name"].to_pylist()
    assert whole.arrow["name"].type == pa.dictionary(pa.int32(), pa.string())


def write_stream(table, path):
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=300)


WRITE = {
    "parquet": pq.write_table,
    "feather": pyarrow.feather.write_feather,
    "arrow": write_stream,
}


def test_pieces_have_about_the_same_size_in_memory():
    for columns in (1, 30, 1000):
        assert source.rows_of_piece(columns) * columns * 8 == pytest.approx(2**25, rel=0.01)


@pytest.mark.parametrize("suffix", ["csv", *WRITE])
def test_a_stream_without_rows(tmp_path, suffix):
    path = tmp_path / f"own.{suffix}"
    if suffix == "csv":
        path.write_text("a,b\n\n")
    else:
        WRITE[suffix](pa.table({"a": pa.array([], pa.int64())}), path)
    with pytest.raises(InputError, match="names of columns but no rows"):
        list(stream(path))


def test_a_stream_refuses_as_the_whole_does(tmp_path, small_pieces):
    path = tmp_path / "own.csv"
    path.write_text(CSV["quoted"] + "1,2\n")
    said = []
    for read in (read_source, lambda path: list(stream(path))):
        with pytest.raises(InputError) as refusal:
            read(path)
        said.append(str(refusal.value))
    assert said[0] == said[1]
    assert "2 fields where the first line names 3 columns" in said[0]


def saved(write, *arguments, **options):
    content = io.BytesIO()
    write(*arguments, content, **options)
    return content.getvalue()


def database(tmp_path):
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("create table t (a int)")
    connection.close()
    return (tmp_path / "a.db").read_bytes()


TINY = pa.table({"a": [1, 2]})
OTHERS = {
    "a Parquet file": lambda _: saved(pq.write_table, TINY),
    "an Arrow file": lambda _: saved(pyarrow.feather.write_feather, TINY),
    "a zip archive": lambda _: saved(lambda file: np.savez(file, x=np.zeros(3))),
    "an array of NumPy": lambda _: saved(lambda file: np.save(file, np.zeros(3))),
    "packed by gzip": lambda _: gzip.compress(b"a,b\n1,2\n"),
    "packed by zstd": lambda _: pa.compress(b"a,b\n1,2\n", "zstd", asbytes=True),
    "an SQLite database": database,
    "an HTML page": lambda _: b"\n<!DOCTYPE html>\n<html><body>Not found</body></html>\n",
    "JSON": lambda _: b'{"a": 1}\n{"a": 2}\n',
    "a tar archive": lambda _: b"own.csv".ljust(257, b"\0") + b"ustar\x0000" + bytes(247),
}
OWN = {
    "a Parquet file": [".parquet"],
    "an Arrow file": [".feather", ".arrow"],
    "a zip archive": [".xlsx"],
    "packed by gzip": [".gz"],
    "packed by zstd": [".zst"],
    "JSON": [".jsonl", ".ndjson"],
}
BINARY = [".parquet", ".feather", ".arrow", ".xlsx"]


TEXT = ["an HTML page", "JSON"]
WRONG = [
    (what, suffix)
    for what in OTHERS
    for suffix in KINDS
    if suffix not in OWN.get(what, []) and not (suffix in BINARY and what in TEXT)
]


@pytest.mark.parametrize(("what", "suffix"), WRONG)
def test_another_kind_under_a_wrong_ending(refusal, tmp_path, what, suffix):
    said = refusal(OTHERS[what](tmp_path), f"own{suffix}")
    assert said.startswith(f"own{suffix}: is {what}")
    assert "not what its ending says; " in said


def test_another_kind_inside_of_a_packed_file(refusal, tmp_path):
    packed = gzip.compress(OTHERS["a tar archive"](tmp_path))
    assert "own.csv.gz: is a tar archive, not what" in refusal(packed, "own.csv.gz")


def test_endings():
    assert {".csv", ".tsv", ".txt", ".parquet"} <= set(KINDS)
    assert {".csv.gz", ".tsv.zst"} < set(SUFFIXES)
    assert ".parquet.gz" not in SUFFIXES


def test_what_is_read_ahead_is_read_once_and_told_where_it_is_asked_for(tmp_path):
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("a,b\n1,2\n")
    bad.write_text("a,b\n")
    with reading_ahead(good):
        assert read_source(good).arrow.to_pydict() == {"a": [1], "b": [2]}
        good.write_text("a,b\n3,4\n")
        assert read_source(good).arrow.to_pydict() == {"a": [3], "b": [4]}
    with reading_ahead(bad):
        pass  # nobody asked
    with reading_ahead(bad), pytest.raises(InputError, match="no rows"):
        read_source(bad)
