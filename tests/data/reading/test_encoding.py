"""Text is read in the encoding that it stands in, and that is said."""

import pytest

from gradus.data.reading.encoding import AsUtf8, Utf8Check

NAMES = ["äpfel", "birne", "ærø", "naïve"]
TEXT = "größe,art\n" + "".join(f"{i},{name}\n" for i, name in enumerate(NAMES))


@pytest.mark.parametrize(
    ("encoding", "note"),
    [
        ("utf-8", None),
        ("utf-8-sig", None),
        ("utf-16", "read as UTF-16"),
        ("utf-16-le", "read as UTF-16"),
        ("utf-16-be", "read as UTF-16"),
        ("latin-1", "read as Latin-1 (Windows-1252)"),
        ("cp1252", "read as Latin-1 (Windows-1252)"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_encodings(read, encoding, note, newline):
    source = read(TEXT.replace("\n", newline), encoding=encoding)
    assert source.arrow.to_pydict() == {"größe": [0, 1, 2, 3], "art": NAMES}
    assert source.notes == (() if note is None else (note,))
    assert source.text("größe").to_pylist() == ["0", "1", "2", "3"]
    assert source.place(3) == "line 5"


def test_a_mark_of_utf_16_and_big_endian(read):
    source = read(b"\xfe\xff" + TEXT.encode("utf-16-be"))
    assert source.names == ["größe", "art"]


def test_latin_1_far_behind_the_beginning(read):
    source = read(b"a,b\n" + b"1,x\n" * 100_000 + "2,é€\n".encode("cp1252"))
    assert source.notes == ("read as Latin-1 (Windows-1252)",)
    assert source.arrow["b"][-1].as_py() == "é€"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b\n1,ä\n2,ö\n".encode() + b"3,\xe9\n", "line 4: byte 0xe9 is not UTF-8; save the file"),
        (b"a,b\n1,x\n2,\x81\x8d\n", "line 3: byte 0x81 is not UTF-8; save the file as UTF-8"),
        (b"\xff\xfe" + "a,b\n1,2\n".encode("utf-16-le") + b"\0", "is no UTF-16 (truncated data)"),
        (b"\xff\xfe" + "a\n".encode("utf-16-le") + b"\x00\xd8a\0", "is no UTF-16 (illegal"),
        (bytes(1000), "line 1: byte 0x00, which no text holds"),
    ],
)
def test_refused(refusal, content, said):
    assert said in refusal(content)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_characters_are_not_torn_between_pieces(size):
    content = ("aé€😀" * 20).encode()
    check = Utf8Check()
    for at in range(0, len(content), size):
        check.feed(content[at : at + size])
    check.end()
    assert (check.encoding, check.wrong) == ("utf-8", 0)
    check = Utf8Check()
    for at in range(0, len(content), size):
        check.feed(content[at : at + size])
    check.feed(b"\xe9a")
    check.end()
    assert (check.encoding, check.wrong, check.first) == (None, 1, (len(content), 0xE9))


def test_transcoding_gives_what_python_decodes(tmp_path):
    text = "aé€😀\n" * 50_000
    path = tmp_path / "own.txt"
    for encoding in ("utf-16-le", "utf-16-be"):
        path.write_bytes(text.encode(encoding))
        with path.open("rb") as file:
            assert AsUtf8(path, file, encoding).readall().decode() == text
