"""Text files as people have them: what they hold, where, and what is said of them."""

import csv
import io

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

XY = {"x": [1, 2, 3], "y": ["u", "v", "w"]}
"""What most files below hold, each in its own way."""

PLAIN = "x,y\n1,u\n2,v\n3,w\n"


def content(source):
    return source.arrow.to_pydict()


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        (PLAIN, ()),
        (PLAIN.rstrip("\n"), ()),
        (PLAIN.replace(",", ";"), ("fields separated by ';'",)),
        (PLAIN.replace(",", "\t"), ("fields separated by tabs",)),
        (PLAIN.replace(",", "|"), ("fields separated by '|'",)),
        ("\ufeff" + PLAIN, ()),
        (PLAIN.replace("\n", "\r\n"), ()),
        (PLAIN.replace("\n", "\r"), ()),
        (PLAIN.replace("\n", "\n\n"), ()),
        ("\n\n" + PLAIN + "\n  \n", ()),
        (PLAIN.replace(",", ", "), ()),
        (PLAIN.replace(",", " ,\t"), ()),
        (' x , "y"\n 1, " u "\n 2,"v" \n3, w\n', ()),
        ('x,y\n"1","u"\n"2","v"\n"3","w"\n', ()),
        ('x,y\n" 1 ","u "\n"2",v\n3 ,w\n', ()),
        (
            PLAIN.replace("\n", ",\n"),
            ("the last column, without name and values, is left out",),
        ),
        (
            PLAIN.replace("\n", ",,\n"),
            ("the last 2 columns, without name and values, are left out",),
        ),
        (
            "x,y\n1,u,\n2,v,\n3,w,\n",
            ("the last column, without name and values, is left out",),
        ),
        ("# measured in 2024\n" + PLAIN, ("line 1 is a comment",)),
        ("# a, b\n\n#c\n" + PLAIN, ("2 lines are a comment",)),
        ("# x, y\n1,u\n2,v\n3,w\n", ()),
        ("Report of the year\n\n" + PLAIN, ("line 1 is a title: Report of the year",)),
        ("Report,\n" + PLAIN, ("line 1 is a title: Report",)),
        (
            "# c\nReport\n" + PLAIN.replace(",", ";"),
            ("fields separated by ';'", "line 1 is a comment", "line 2 is a title: Report"),
        ),
    ],
)
def test_one_table_in_many_layouts(read, text, notes):
    source = read(text)
    assert content(source) == XY
    assert source.notes == notes
    assert source.text("x").to_pylist() == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a;b\n1,5;2\n2,25;3\n", {"a": ["1,5", "2,25"], "b": [2, 3]}),
        ("a, m;b, m\n1,5;2,0\n2,25;3,1\n", {"a, m": ["1,5", "2,25"], "b, m": ["2,0", "3,1"]}),
        ("a,b\n1;2,5\n3;4,6\n", {"a": ["1;2", "3;4"], "b": [5, 6]}),
        ('a,b\n1,"x;y"\n2,"z;w"\n', {"a": [1, 2], "b": ["x;y", "z;w"]}),
        ('a;b\n1;"x;y,z"\n2;"w"\n', {"a": [1, 2], "b": ["x;y,z", "w"]}),
        ('t\n"hello, world"\n"a; b"\n', {"t": ["hello, world", "a; b"]}),
        ("a\n1\n2\n", {"a": [1, 2]}),
        (",a\n0,5\n1,6\n", {"": [0, 1], "a": [5, 6]}),
        ('"",a\n"r1",5\n"r2",6\n', {"": ["r1", "r2"], "a": [5, 6]}),
        ('a,b\n1,"x\ny"\n2,"z"\n', {"a": [1, 2], "b": ["x\ny", "z"]}),
        ('a,"b\nc"\n1,2\n', {"a": [1], "b\nc": [2]}),
        ('a,b\n1,"say ""x"""\n2,5" pipe\n', {"a": [1, 2], "b": ['say "x"', '5" pipe']}),
        ("#,a\n0,5\n1,6\n", {"#": [0, 1], "a": [5, 6]}),
        ("text\nhello, world\nfoo\n", None),
    ],
)
def test_fields_are_told_from_text(read, refusal, text, expected):
    if expected is None:
        assert "line 2: 2 fields where the first line names 1 columns" in refusal(text)
    else:
        assert content(read(text)) == expected


NOTHING = ["", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "?", "-", ".", "#N/A"]


@pytest.mark.parametrize("nothing", [*NOTHING, " ", " NA", "NA ", " ? "])
def test_what_means_missing(read, nothing):
    found = read(f'a,b,c,d\n1,1.5,u,{nothing}\n{nothing},{nothing},{nothing},"{nothing}"\n3,2,v,\n')
    assert content(found) == {
        "a": [1, None, 3],
        "b": [1.5, None, 2],
        "c": ["u", None, "v"],
        "d": [None] * 3,
    }
    assert found.arrow.schema.field("d").type == pa.null()
    assert found.text("a").to_pylist() == ["1", None, "3"]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-2", "0"], "int64"),
        (["9007199254740992", "1"], "int64"),
        (["9007199254740993", "1"], "text"),
        (["12345678901234567890", "1"], "text"),
        (["123456789012345678901234567890", "1.5"], "text"),
        (["01234", "1"], "text"),
        (["0x10", "1"], "text"),
        (["1", "2.5"], "double"),
        (["1e30", "2"], "double"),
        (["0.5", ".5", "5.", "+5", "1E5"], "double"),
        (["+1", "2"], "double"),
        (["inf", "-Infinity"], "double"),
        (["1_000", "2"], "text"),
        (["1,5", "2,5"], "text"),
        (["1,200", "3,000"], "text"),
        (["5 %", "6 %"], "text"),
        (["$ 5", "$ 6"], "text"),
        (["1d5", "2d5"], "text"),
        (["true", "false"], "text"),
        (["2024-01-31", "2024-02-01"], "text"),
        (["2024-01-31 10:00:00", "2024-02-01 11:00:00"], "text"),
        (["10:30", "11:45"], "text"),
        (["none", "some"], "text"),
    ],
)
@pytest.mark.parametrize("rows", [1, 5000])
def test_numbers_are_what_loses_nothing_as_numbers(read, values, kind, rows):
    """In the beginning of a file, and where the beginning looked otherwise."""
    before = ["7"] * (rows - 1) if kind != "double" else ["7.5"] * (rows - 1)
    written = io.StringIO()
    csv.writer(written).writerows([["a", "b"], *([value, "x"] for value in before + values)])
    source = read(written.getvalue())
    column = source.arrow["a"]
    if kind == "text":
        assert column.type == pa.dictionary(pa.int32(), pa.string())
        assert column.to_pylist() == before + values
    else:
        assert str(column.type) == kind
        assert column.to_pylist() == list(map(float, before + values))
    assert source.text("a").to_pylist() == before + values


def test_a_table_of_many_blocks_is_what_pyarrow_reads(read):
    random = np.random.default_rng(0)
    table = pa.table(
        {
            "a": random.normal(size=200_000),
            "b": random.integers(-(2**50), 2**50, 200_000),
            "c": random.choice(["red", "green", "blue, dark"], 200_000),
        }
    )
    written = io.BytesIO()
    pyarrow.csv.write_csv(table, written)
    source = read(written.getvalue())
    assert source.arrow["c"].cast(pa.string()).equals(table["c"])
    assert source.arrow.drop_columns("c").equals(table.drop_columns("c"))


@pytest.mark.parametrize("last", ["x", "1.5x", "", "NA ", "01", "1.5"])
def test_a_column_that_turns_late(read, last):
    """Blocks of a megabyte behind the beginning from which types are told."""
    source = read("a,b\n" + "12,1.5\n" * 400_000 + f'{last},"{last}"\n')
    missing = last in ("", "NA ")
    for name, before in (("a", "12"), ("b", "1.5")):
        text = source.text(name)
        assert text.unique().to_pylist() == [
            before,
            *[None if missing else last] * (last != before),
        ]
        numbers = missing or last == "1.5" or (last == "01" and name == "b")
        assert pa.types.is_dictionary(source.arrow[name].type) != numbers


@pytest.mark.parametrize(
    ("text", "row", "place"),
    [
        (PLAIN, 0, "line 2"),
        (PLAIN, 2, "line 4"),
        ("\n# c\n\n" + PLAIN.replace("\n", "\r\n\r\n"), 1, "line 8"),
        (PLAIN.replace("\n", "\r"), 1, "line 3"),
        ("x,y\n1,u\n   \n2,v\n", 1, "line 4"),
        ("x\ty\n1\tu\n \t \n2\tv\n", 2, "line 4"),
        ('x,"y\nz"\n1,"u\n\nv"\n2,w\n', 1, "line 6"),
        ('x, "y"\n1, "u\nv"\n2, w\n', 1, "line 4"),
    ],
)
def test_where_a_row_stands(read, text, row, place):
    assert read(text).place(row) == place


LONG = "".join(f"{i},{i / 2}\n" for i in range(3000))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "own.csv: the file is empty; give names of columns and rows"),
        ("\ufeff \n\n", "own.csv: the file is empty"),
        ("a,b\n", "own.csv: names of columns but no rows"),
        ("a,b\n\n\n", "own.csv: names of columns but no rows"),
        ("a,b,a\n1,2,3\n", "own.csv: 2 columns are named 'a'; give each a name of its own"),
        (",a,\n1,2,3\n", "own.csv: 2 columns are named ''; give each a name"),
        ("1.5,2\n3,4\n", "own.csv, line 1: numbers where the names of the columns are to stand"),
        ("1,5;2\n3;4\n", "own.csv, line 1: numbers where the names of the columns are to stand"),
        ("# c\n1,2\n3,4\n", "own.csv, line 2: numbers where the names"),
        (
            "a,b\n" + LONG + "1\n",
            "own.csv, line 3002: 1 fields where the first line names 2 columns; give every row 2 "
            '(text with commas goes into double quotes, ")',
        ),
        ("a;b\n1;2\n\n1;2;3\n", "own.csv, line 4: 3 fields where the first line names 2 columns"),
        ("# c\na,b\n1,2\n \n1,2,3\n", "own.csv, line 5: 3 fields where line 2 names 2 columns"),
        ("a,b\n1,2,3\n4,5,6\n", "own.csv, line 2: 3 fields where the first line names 2 columns"),
        ("a,b\nx,y,z\nu,v,w\n", "own.csv, line 2: 3 fields where the first line names 2 columns"),
        (
            "a,b\n" + "1,2,\n" * 300 + "1,2,3\n",
            "own.csv, line 302: 3 fields where the first line names 2 columns",
        ),
        ("a,b\n1,\x00\n", "own.csv, line 2: byte 0x00, which no text holds"),
    ],
)
def test_refused(refusal, text, said):
    assert refusal(text).startswith(said)


ROWS = [f'{i},{i / 2},"{("no", "yes")[i % 2]}"\n' for i in range(40)]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('5,2.5,"yes\n', "line 7: a quotation mark opens a field and closes in line 8, in the"),
        ('5,"2.5,yes\n', "line 7: a quotation mark opens a field and closes in line 8, in the"),
        ('5,2.5,"""yes\n', "line 7: a quotation mark opens a field and closes in line 8, in the"),
    ],
)
def test_a_quotation_mark_that_swallows_rows(refusal, row, said):
    lines = [*ROWS[:5], row, *ROWS[6:]]
    assert refusal("a,b,c\n" + "".join(lines)).startswith(f"own.csv, {said}")
    bare = [line.replace('"', "") for line in ROWS]
    text = "a,b,c\n" + "".join([*bare[:5], row, *bare[6:]])
    assert refusal(text).startswith(
        "own.csv, line 7: a quotation mark opens a field and never closes; close it where its "
        "field ends, or write it twice where it belongs to the text"
    )
    text = 'a, "b", c\n' + "".join([*bare[:5], row.replace(',"', ', "'), *bare[6:]])
    assert refusal(text).startswith("own.csv, line 7: a quotation mark opens a field and does not")


def test_a_row_longer_than_a_block(read):
    long = "x" * 3_000_000
    for quote in ("", '"'):
        source = read(f"a,b\n1,{quote}{long}{quote}\n2,y\n")
        assert source.arrow["b"].to_pylist() == [long, "y"]


def test_more_columns_than_the_beginning_holds(read):
    names = [f"column {i}" for i in range(20_000)]
    source = read(";".join(names) + "\n" + ";".join(map(str, range(20_000))) + "\n")
    assert source.names == names
    assert source.arrow["column 777"].to_pylist() == [777]
