"""JSON lines: objects become rows, and what cannot stand in one column is named."""

import json

import numpy as np
import pyarrow as pa
import pytest


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


ROWS = [
    {"id": 2**60 + 1, "x": 1, "name": "a", "ok": True, "day": "2024-02-29", "none": None},
    {"id": -5, "x": 2.5, "name": "01", "ok": None, "day": "2024-03-01"},
    {"x": None, "day": None, "name": "ä\n"},
]


@pytest.mark.parametrize("name", ["own.jsonl", "own.ndjson"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_objects_are_rows(read, name, encoding):
    source = read(lines(ROWS), name, encoding)
    assert source.names == list(ROWS[0])
    assert source.arrow.to_pylist() == [{key: row.get(key) for key in ROWS[0]} for row in ROWS]
    kinds = {field.name: field.type for field in source.arrow.schema}
    text = pa.dictionary(pa.int32(), pa.string())
    assert kinds == {
        "id": pa.int64(),
        "x": pa.float64(),
        "name": text,
        "ok": pa.bool_(),
        "day": text,
        "none": pa.null(),
    }
    assert source.text("id").to_pylist() == [str(2**60 + 1), "-5", None]
    assert source.text("ok").to_pylist() == ["true", None, None]


def test_many_blocks_are_what_json_reads(read):
    random = np.random.default_rng(0)
    rows = [
        {"x": float(x), "name": f"n{i % 7}", "long": "y" * (i % 200)}
        for i, x in enumerate(random.normal(size=20_000))
    ]
    rows[10_000]["long"] = "z" * 3_000_000
    source = read(lines(rows), "own.jsonl")
    assert source.arrow.to_pylist() == rows


def test_columns_of_lists_and_objects_have_no_values(read):
    """Nor do they stand in the way where they are of many kinds."""
    for odd in ([1], {"b": [[1]]}, 5, "text", [{"c": 1}, 2]):
        rows = [{"a": 1, "l": [1, 2], "o": {"b": 1}}, {"a": 2, "l": odd}, {"l": None, "o": {}}]
        source = read(lines(rows), "own.jsonl")
        assert source.arrow["a"].to_pylist() == [1, 2, None]
        assert source.arrow["l"].null_count == source.arrow["o"].null_count == 3
        assert pa.types.is_nested(source.arrow.schema.field("l").type)


@pytest.mark.parametrize(("blank", "place"), [("", "line 3"), ("\n", "line 5")])
def test_where_a_row_stands(read, blank, place):
    text = lines(ROWS).replace("\n", f"\n{blank}")
    assert read(text, "own.jsonl").place(2) == place
    assert read(lines(ROWS).replace("}\n", "}", 1), "own.jsonl").place(2) == "row 3"


GOOD = '{"a": 1, "b": "x"}\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ": the file is empty; give an object a line"),
        ("\n \n", ": the file is empty; give an object a line"),
        ('[{"a": 1}]', """, line 1: '[{"a": 1}]' begins no object of JSON; write an object a"""),
        ("null\n" + GOOD, ", line 1: 'null' begins no object of JSON; write an object a line"),
        (GOOD * 200_000 + " null\n", ", line 200001: 'null' begins no object of JSON"),
        ('{"a":\n1}\n', ", line 2: '1}' begins no object of JSON"),
        (GOOD + "\n" + '{"a": 1,}\n', ", line 3: is no object of JSON (Expecting property name"),
        (GOOD * 50_000 + '{"a"\n', ", line 50001: is no object of JSON (Expecting ':' delimiter"),
        (GOOD + "5\n", ", line 2: '5' begins no object of JSON; write an object a line"),
        (
            GOOD + '{"a": "1"}\n',
            ", line 2: column 'a' holds text, and numbers in lines before; write all of it in one",
        ),
        (GOOD + '{"b": null}\n{"b": true}\n', ", line 3: column 'b' holds true or false, and text"),
        (GOOD + '{"a": 1, "a": 2}\n', ", line 2: is no object of JSON ('a' stands in it twice)"),
        (
            GOOD + '{"a": 12345678901234567890}\n',
            ", line 2: column 'a' holds 12345678901234567890, which is rounded as a number; write",
        ),
        ("{}\n{}\n", ": no columns; give names of columns and rows"),
        (GOOD + '{"a": ' + "[" * 100_000 + "\n", ", line 2: is no object of JSON ("),
    ],
)
def test_refused(refusal, text, said):
    assert refusal(text, "own.jsonl").startswith(f"own.jsonl{said}")


def test_large_real_numbers_are_numbers(read):
    source = read('{"a": 1e300}\n{"a": -2}\n', "own.jsonl")
    assert source.arrow["a"].to_pylist() == [1e300, -2.0]
