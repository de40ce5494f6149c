"""Arrow files: every type as it stands, and no more in the memory than a file can hold."""

import datetime

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pytest

from gradus.data.reading import feather, read_source
from gradus.data.unpacking import MOST_TIMES, SMALL
from gradus.errors import InputError

DAY = datetime.date(2024, 2, 29)
COLUMNS = {
    "whole": pa.array([1, None, 2**60], pa.int64()),
    "small": pa.array([1, None, 3], pa.uint8()),
    "real": pa.array([0.1, None, 2.5], pa.float32()),
    "flag": pa.array([True, None, False]),
    "day": pa.array([DAY, None, DAY]),
    "name": pa.array(["a", None, "01"]),
    "long": pa.array(["a", None, "01"], pa.large_string()),
    "view": pa.array(["a", None, "01"], pa.string_view()),
    "class": pa.array(["a", None, "01"]).dictionary_encode(),
}


@pytest.mark.parametrize("compression", ["uncompressed", "lz4", "zstd"])
def test_types(tmp_path, compression):
    path = tmp_path / "own.feather"
    pyarrow.feather.write_feather(pa.table(COLUMNS), path, compression=compression)
    source = read_source(path)
    for name, column in COLUMNS.items():
        assert source.arrow[name].to_pylist() == column.to_pylist()
        text = pa.types.is_dictionary(source.arrow[name].type)
        assert text == (name in {"name", "long", "view", "class"})
        assert text or source.arrow[name].type == column.type
    assert source.categories == {"class"}
    assert source.text("whole").to_pylist() == ["1", None, str(2**60)]
    assert source.text("real").to_pylist() == ["0.1", None, "2.5"]
    assert source.text("day").to_pylist() == ["2024-02-29", None, "2024-02-29"]
    assert source.text("class").to_pylist() == ["a", None, "01"]


@pytest.mark.parametrize("compression", ["uncompressed", "lz4", "zstd"])
def test_what_a_file_promises_is_what_it_unpacks_to(tmp_path, compression):
    random = np.random.default_rng(0)
    path = tmp_path / "own.arrow"
    table = pa.table({"a": random.normal(size=10_000), "b": random.choice(["u", "v" * 99], 10_000)})
    table = table.append_column("c", table["b"].dictionary_encode())
    pyarrow.feather.write_feather(table, path, compression=compression, chunksize=3000)
    with pa.memory_map(str(path)) as content:
        content.seek(8)
        promised = feather._unpacked_size(content)
    # Buffers are filled up to a multiple of 8 bytes where they are not packed.
    assert promised == pytest.approx(table.nbytes, rel=0.01)


@pytest.mark.parametrize("content", ["zeros", "nothing"])
def test_a_bomb(tmp_path, content):
    path = tmp_path / "bomb.arrow"
    rows = SMALL // 4
    column = pa.nulls(rows) if content == "nothing" else pa.array(np.zeros(rows))
    pyarrow.feather.write_feather(pa.table({"a": column}), path, compression="zstd")
    assert 8 * rows > MOST_TIMES * path.stat().st_size
    del column
    before = pa.total_allocated_bytes()
    with pytest.raises(InputError, match=r"promises 134,217,7.. bytes out of .*; write it again"):
        read_source(path)
    assert pa.total_allocated_bytes() - before < SMALL


def test_damage(refusal, tmp_path):
    path = tmp_path / "whole.arrow"
    pyarrow.feather.write_feather(pa.table({"a": [1, 2], "b": ["x", "y"]}), path)
    content = path.read_bytes()
    for name in ("own.arrow", "own.feather"):
        assert "is incomplete: its end is missing" in refusal(content[:-1], name)
        assert "cannot be read as Arrow" in refusal(b"hello, world", name)
        assert "cannot be read as Arrow" in refusal(b"", name)
        torn = content[:100] + bytes(40) + content[140:]
        assert "cannot be read as Arrow" in refusal(torn, name)
    assert "a Feather file of version 1" in refusal(b"FEA1" + bytes(20), "own.feather")
