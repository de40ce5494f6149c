"""Sheets as people have them: where the table stands, and what its cells are."""

import builtins
import datetime
import io
import zipfile

import openpyxl
import pyarrow as pa
import pytest

from gradus.data.reading import excel
from gradus.data.unpacking import SMALL

WHEN = datetime.datetime(2024, 2, 29, 10, 30)
DAY = datetime.datetime(2024, 3, 1)
TIME = datetime.time(10, 30)
NAMES = ["whole", "real", "name", "flag", "day", "time", "zip", "mixed", "none"]
CELLS = [
    [1, 1, " red ", True, WHEN, TIME, "01234", 5, None],
    [None, 2.5, "NA", None, None, None, "1", "x", "-"],
    [3, None, "blue", False, DAY, TIME, None, 2.5, "#N/A"],
]


def xlsx(*sheets):
    """A file of sheets, each a title and rows of cells."""
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.active)
    for title, rows in sheets:
        sheet = workbook.create_sheet(title)
        for row in rows:
            sheet.append(row)
    content = io.BytesIO()
    workbook.save(content)
    return content.getvalue()


def test_cells_are_what_they_are(read):
    source = read(xlsx(("Data", [NAMES, *CELLS])), "own.xlsx")
    assert source.names == NAMES
    assert source.notes == ()
    text = pa.dictionary(pa.int32(), pa.string())
    expected = {
        "whole": (pa.int64(), [1, None, 3]),
        "real": (pa.float64(), [1.0, 2.5, None]),
        "name": (text, ["red", None, "blue"]),
        "flag": (pa.bool_(), [True, None, False]),
        "day": (pa.timestamp("us"), [WHEN, None, DAY]),
        "time": (pa.time64("us"), [TIME, None, TIME]),
        "zip": (text, ["01234", "1", None]),
        "mixed": (text, ["5", "x", "2.5"]),
        "none": (pa.null(), [None, None, None]),
    }
    for name, (kind, values) in expected.items():
        assert source.arrow.schema.field(name).type == kind
        assert source.arrow[name].to_pylist() == values
    assert source.text("whole").to_pylist() == ["1", None, "3"]
    assert source.place(2) == "sheet 'Data', row 4"


@pytest.mark.parametrize(
    ("sheets", "notes", "row"),
    [
        ([("A", [["x", "y"], [1, "u"], [2, "v"]])], (), 3),
        ([("A", [[], [None, "x", "y"], [], [None, 1, "u"], [None, 2, "v"], []])], (), 5),
        (
            [("A", [["x", "y"], [1, "u"], [2, "v"]]), ("B", [["z"], [1]]), ("C", [])],
            ("sheet 'A' is read, and not B, C",),
            3,
        ),
        (
            [("Empty", []), ("A", [["x", "y"], [1, "u"], [2, "v"]])],
            ("sheet 'A' is read, and not Empty",),
            3,
        ),
        (
            [("A", [["Report"], ["of 2024"], [], ["x", "y"], [1, "u"], [2, "v"]])],
            ("2 rows are a title: Report",),
            6,
        ),
        (
            [("A", [["Report"], ["x", "y"], [1, "u"], [2, "v"]])],
            ("row 1 is a title: Report",),
            4,
        ),
    ],
)
def test_where_the_table_stands(read, sheets, notes, row):
    source = read(xlsx(*sheets), "own.xlsx")
    assert source.arrow.to_pydict() == {"x": [1, 2], "y": ["u", "v"]}
    assert source.notes == notes
    assert source.place(1) == f"sheet 'A', row {row}"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "own.xlsx: holds no cells; give names of columns and rows"),
        ([["a", "b"]], "own.xlsx: names of columns but no rows"),
        ([["a", "a"], [1, 2]], "own.xlsx: 2 columns are named 'a'"),
        ([[1, 2], [3, 4]], "own.xlsx: sheet 'A', row 1: numbers where the names of the columns"),
        ([["a", None], [1, 2], [3, 4], [5, None, 6]], "own.xlsx: 2 columns are named ''"),
    ],
)
def test_refused(refusal, rows, said):
    assert refusal(xlsx(("A", rows)), "own.xlsx").startswith(said)


def with_sheet(change):
    """A file whose only sheet was changed by hand."""
    whole = zipfile.ZipFile(io.BytesIO(xlsx(("A", [["a", "b"], [1, 2], [3, 4]]))))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as changed:
        for name in whole.namelist():
            part = whole.read(name)
            changed.writestr(name, change(part) if name.endswith("sheet1.xml") else part)
    return content.getvalue()


def test_a_sheet_that_lies_of_its_size(read):
    content = with_sheet(lambda part: part.replace(b'ref="A1:B3"', b'ref="A1:A1048576"'))
    assert read(content, "own.xlsx").arrow.to_pydict() == {"a": [1, 3], "b": [2, 4]}


@pytest.mark.parametrize("corner", [b"XFD3", b"B9999999999"])
def test_a_cell_in_a_far_corner(refusal, monkeypatch, corner):
    monkeypatch.setattr(excel, "MOST_CELLS", 10_000)
    row = corner.strip(b"ABCDFX")

    def change(part):
        return part.replace(b'<row r="3"', b'<row r="%s"' % row).replace(
            b'r="B3"', b'r="%s"' % corner
        )

    said = refusal(with_sheet(change), "own.xlsx")
    assert said == "own.xlsx: sheet 'A' has more than 10,000 cells; save it as CSV or Parquet"


def test_a_bomb(refusal):
    content = with_sheet(lambda part: part + bytes(SMALL))
    said = refusal(content, "own.xlsx")
    assert "times as many: damaged, or made to fill the memory; save the sheet as CSV" in said


@pytest.mark.parametrize(
    "change",
    [
        lambda part: part[:100],
        lambda part: part.replace(b"<v>1</v>", b"<v>one</v>"),
        lambda part: part.replace(b'r="A2"', b'r="!!"'),
    ],
)
def test_damage(refusal, change):
    assert "own.xlsx: cannot be read as Excel (" in refusal(with_sheet(change), "own.xlsx")


def test_no_excel_at_all(refusal):
    assert "cannot be read as Excel (File is not a zip file)" in refusal(b"a,b\n1,2\n", "own.xlsx")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.txt", "hello")
    assert "cannot be read as Excel (" in refusal(archive.getvalue(), "own.xlsx")
    assert "an old or encrypted Excel file" in refusal(b"\xd0\xcf\x11\xe0" + bytes(9), "own.xlsx")


def test_without_openpyxl(refusal, monkeypatch):
    known = builtins.__import__

    def without(name, *arguments, **options):
        if name == "openpyxl":
            raise ImportError(name)
        return known(name, *arguments, **options)

    content = xlsx(("A", [["a"], [1]]))
    monkeypatch.setattr(builtins, "__import__", without)
    assert refusal(content, "own.xlsx") == (
        "own.xlsx: Excel files are read by openpyxl, which is not installed; pip install "
        "'gradus[tables]', or save the sheet as CSV"
    )
