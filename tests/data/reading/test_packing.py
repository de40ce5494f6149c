"""Compressed text is the text; what is damaged or a bomb is refused in one line."""

import gzip

import pyarrow as pa
import pytest

from gradus.data.unpacking import SMALL

TEXT = b"x,y\n1,u\n2,v\n" * 1 + b"3,w\n" * 1000
PACK = {".gz": gzip.compress, ".zst": lambda content: pa.compress(content, "zstd", asbytes=True)}


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("kind", [".csv", ".tsv", ".txt"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_what_is_packed_is_read(read, suffix, kind, encoding):
    source = read(PACK[suffix](TEXT.decode().encode(encoding)), f"own{kind}{suffix}".upper())
    assert source.arrow.num_rows == 1002
    assert source.arrow["x"].to_pylist()[:3] == [1, 2, 3]
    assert source.place(1) == "line 3"
    assert source.text("x")[1].as_py() == "2"


@pytest.mark.parametrize("suffix", PACK)
def test_a_bomb(refusal, suffix):
    line = b"0" * 999 + b"\n"
    bomb = PACK[suffix](b"a\n" + line * (SMALL // 1000 + 1))
    said = refusal(bomb, f"bomb.csv{suffix}")
    assert f"unpacks to more than {SMALL:,} bytes out of {len(bomb):,}" in said
    assert "give the file unpacked" in said


@pytest.mark.parametrize("suffix", PACK)
def test_damage(refusal, suffix):
    packed = PACK[suffix](TEXT)
    for content in (packed[:-5], packed[:2] + b"xxxxxx" + packed[8:], b"hello, world"):
        assert "cannot be unpacked (" in refusal(content, f"own.csv{suffix}")
    assert "the file is empty" in refusal(PACK[suffix](b""), f"own.csv{suffix}")


def test_gzip_in_several_members(read):
    source = read(gzip.compress(b"x,y\n1,2\n") + gzip.compress(b"3,4\n"), "own.csv.gz")
    assert source.arrow.to_pydict() == {"x": [1, 3], "y": [2, 4]}
