"""Files of svmlight: what scikit-learn reads of them, and which line is wrong."""

import bz2
import gzip

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
from sklearn.datasets import dump_svmlight_file, load_svmlight_file

from gradus.data import memory
from gradus.data.reading import svmlight
from gradus.data.reading.svmlight import read_svmlight
from gradus.errors import InputError
from gradus.risk.sparse_matrices import as_csr

X = sp.random_array((60, 40), density=0.2, rng=0, format="csr")
Y = np.random.default_rng(0).normal(size=60)
WHOLE = "+1 1:0.5 3:2\n-1 2:1\n"


def matrix(rows):
    return sp.csr_array((rows.values, rows.columns, rows.starts), (len(rows.labels), rows.width))


@pytest.mark.parametrize("zero_based", [True, False])
@pytest.mark.parametrize("block", [100, 2**24])
def test_it_is_what_scikit_learn_reads(tmp_path, monkeypatch, zero_based, block):
    path = tmp_path / "own.svm"
    dump_svmlight_file(X, Y, str(path), zero_based=zero_based, comment="of chance")
    monkeypatch.setattr(svmlight, "BLOCK", block)
    rows = read_svmlight(path)
    theirs, labels = load_svmlight_file(str(path))
    assert rows.base == 1 - zero_based
    assert np.array_equal(rows.labels, labels)
    assert (matrix(rows) != theirs).nnz == 0


@pytest.mark.parametrize(
    ("ending", "pack"),
    [
        (".gz", gzip.compress), (".bz2", bz2.compress),
        (".zst", lambda content: pa.compress(content, "zstd", asbytes=True)),
    ],
)  # fmt: skip
def test_it_may_be_packed(tmp_path, ending, pack):
    path = tmp_path / f"own.libsvm{ending}"
    path.write_bytes(pack(WHOLE.encode()))
    assert read_svmlight(path).columns.tolist() == [0, 2, 1]


def test_spaces_signs_comments_and_empty_lines_say_nothing(tmp_path):
    path = tmp_path / "own.svm"
    path.write_bytes(
        b"\xef\xbb\xbf# of 2024\r\n  +1 1:+0.5 \t 3:2e+0 \r\n\n\n-1.0\t2:1 # 7:8\r\n \n5"
    )
    rows = read_svmlight(path)
    assert rows.labels.tolist() == [1, -1, 5]
    assert rows.starts.tolist() == [0, 2, 3, 3]
    assert rows.columns.tolist() == [0, 2, 1]
    assert rows.values.tolist() == [0.5, 2, 1]


def test_columns_beyond_those_asked_for_are_left_out(tmp_path):
    path = tmp_path / "own.svm"
    path.write_text("1 1:1 9:2\n2 9:1 12:3\n3 2:1\n")
    rows = read_svmlight(path, width=5, dtype="float32")
    assert (rows.width, rows.left_out, rows.values.dtype) == (5, 2, np.float32)
    assert matrix(rows).toarray().tolist() == [[1, 0, 0, 0, 0], [0] * 5, [0, 1, 0, 0, 0]]
    assert read_svmlight(path, base=0).width == 13


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1 3", "line 3: '3': is no entry; give index:value, as 3:3"),
        ("1 3:", "line 3: '3:': its value '' is no number"),
        ("1 3:x", "line 3: '3:x': its value 'x' is no number"),
        ("1 3:1:2", "line 3: '3:1:2': its value '1:2' is no number"),
        ("1 3:1_0", "line 3: '3:1_0': its value '1_0' is no number"),
        ("1 3:-inf", "line 3: '3:-inf': its value '-inf' is infinite"),
        ("1 a:2", "line 3: 'a:2': its index 'a' is no whole number >= 0"),
        ("1 1.5:2", "line 3: '1.5:2': its index '1.5' is no whole number >= 0"),
        ("1 -3:2", "line 3: '-3:2': its index '-3' is no whole number >= 0"),
        ("1 :2", "line 3: ':2': its index '' is no whole number >= 0"),
        ("1 2147483648:2", "index 2147483648 is too large; 2,147,483,647 is the greatest"),
        ("1 3:1 2:1", "line 3: '2:1': index 2 comes after 3; let them ascend in each line"),
        ("1 3:1 3:2", "line 3: '3:2': index 3 stands twice; give each once"),
        ("1 0:1", "line 3: '0:1': index 0, where indices count from 1; give --indices-from 0"),
        ("spam 3:1", "line 3: the label 'spam' is no number; give a label, then index:value"),
        ("3:1 4:1", "line 3: the label '3:1' is no number"),
        ("inf 3:1", "line 3: the label 'inf' is infinite"),
        ("1,2 3:1", "line 3: has several labels (1,2), of which one is learned; give one"),
        ("1 qid:7 3:1", "line 3: 'qid:7': says which rows are ranked together, and no loss ranks"),
        ("\0", "line 3: the label"),
    ],
)
def test_the_line_that_is_wrong_is_named(tmp_path, line, said):
    path = tmp_path / "own.svm"
    path.write_text(WHOLE + line + "\n" + WHOLE)
    with pytest.raises(InputError) as error:
        read_svmlight(path, base=1)
    assert str(error.value).startswith(f"{path}, line 3: ")
    assert said in str(error.value)


def test_an_index_that_asks_for_more_than_the_memory_is_named_by_its_line(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "memory", lambda: 2**30)
    path = tmp_path / "own.svm"
    path.write_text(WHOLE + "1 3:1 # 2000000000:1\n1 3:1 2000000000:1\n" + WHOLE)
    said = "line 4: index 2000000000 asks for 2,000,000,000 columns, whose linear model takes"
    with pytest.raises(InputError, match=said):
        read_svmlight(path)
    assert read_svmlight(path, width=3).left_out == 1
    with pytest.raises(InputError, match="X: has 2,000,000,000 columns, whose linear model takes"):
        as_csr(sp.csr_array((1, 2_000_000_000)), "X")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty: give a line for each example, as 1 3:0.5 7:2"),
        (b"# nothing\n \n", "is empty"),
        (b"1\n-1\n", "holds labels alone; give entries too"),
        (b"\x1f\x8b1", "is packed by gzip, not what its ending says"),
        (b"1 1:1e300\n", "holds 1e+300, beyond the greatest number of float32; train with --dt"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path, content, said):
    path = tmp_path / "own.svm"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said.replace("+", r"\+")):
        read_svmlight(path, dtype="float32")
