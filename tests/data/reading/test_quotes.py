"""Quotation marks are followed as a reader that goes through the file byte by byte does."""

import random

import pytest

from gradus.data.reading.quotes import QuoteCheck


def byte_by_byte(content):
    """Where a mark is torn, where one never closes, and whether a field has several lines."""
    inside = multiline = broken = False
    opened, at, begins = 0, 0, True
    while at < len(content):
        byte = content[at : at + 1]
        if inside and byte == b'"':
            following = content[at + 1 : at + 2]
            if following == b'"':
                at += 1
            else:
                inside = False
                if broken and following not in (b",", b"\n", b"\r", b""):
                    return (opened, at), None, multiline
        elif inside:
            if byte in b"\r\n":
                broken = multiline = True
        elif byte == b'"' and begins:
            inside, broken, opened = True, False, at
        begins = not inside and byte in b",\r\n" and byte != b""
        at += 1
    return None, opened if inside else None, multiline


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_against_a_reader_of_single_bytes(size):
    draw = random.Random(0)
    seen = set()
    for _ in range(4000):
        content = bytes(draw.choices(b'",\nab\r', weights=(4, 3, 2, 2, 1, 1), k=draw.randrange(30)))
        check = QuoteCheck(",")
        for at in range(0, len(content), size):
            check.feed(content[at : at + size])
        check.end()
        expected = byte_by_byte(content)
        found = check.torn, check.never_closed, check.multiline
        if expected[0] is not None:
            assert found[0] == expected[0], content
        else:
            assert found == expected, content
        seen.add((expected[0] is None, expected[1] is None, expected[2], check.plain))
    assert len(seen) > 6
