"""Classes or numbers: it follows from the values and the loss; a mismatch names the flag."""

import numpy as np
import pytest
import torch

from gradus.data.targets import check_loss, class_targets, column_targets, label, row_targets
from gradus.errors import InputError

TEXT = np.array(["b", "a", "b"], dtype=object)
BOOL = np.array([True, False, True])
FEW = np.array([3, 5, 3])
FEW_FLOATS = np.array([3.0, 5.0, 3.0])
MANY = np.arange(21)
REAL = np.array([0.5, 1.0, 2.0])
EVERY_LOSS = [None, "cross-entropy", "nll", "mse", "l1", "huber", "pinball"]


@pytest.mark.parametrize(
    ("values", "tasks"),
    [  # one letter for each of EVERY_LOSS: classes, numbers, refused
        (TEXT, "cccxxxx"),
        (BOOL, "cccxxxx"),
        (FEW, "cccnnnn"),
        (FEW_FLOATS, "cccnnnn"),
        (MANY, "nccnnnn"),
        (MANY[:20], "cccnnnn"),
        (REAL, "nxxnnnn"),
    ],
    ids=["text", "bool", "integers", "integral floats", "21 integers", "20 integers", "reals"],
)
def test_task(values, tasks):
    for loss, expected in zip(EVERY_LOSS, tasks, strict=True):
        if expected == "x":
            with pytest.raises(InputError, match=f"^--loss {loss}: is for .* choose --loss"):
                column_targets(values, loss, "column 'a'")
            continue
        targets = column_targets(values, loss, "column 'a'")
        if expected == "n":
            assert targets.task == "regression"
            assert targets.y.tolist() == values.astype(float)[:, None].tolist()
        else:
            assert targets.task == "classification"
            names = [targets.classes[index] for index in targets.y]
            assert names == [label(value) for value in values]


def test_one_class_is_refused():
    with pytest.raises(InputError, match="one class only"):
        column_targets(np.array(["a", "a"]), None, "column 'a'")


def test_kl_divergence_takes_rows_of_probabilities():
    targets = column_targets(TEXT, "kl-div", "column 'a'")
    assert targets.y.tolist() == [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
    assert targets.classes == ("a", "b")
    assert targets.labels.tolist() == [1, 0, 1]


ROWS = np.array([[0.25, 0.75], [1.0, 0.0]])


@pytest.mark.parametrize(
    ("loss", "classes"),
    [
        (None, None),
        ("mse", None),
        ("l1", None),
        ("kl-div", ("0", "1")),
        ("cross-entropy", ("0", "1")),
    ],
)
def test_rows(loss, classes):
    targets = row_targets(ROWS, loss, "y")
    assert (targets.classes, targets.y.tolist()) == (classes, ROWS.tolist())


@pytest.mark.parametrize(
    ("rows", "loss", "message"),
    [
        (ROWS, "nll", "--loss nll: takes class indices"),
        (ROWS * 2, "kl-div", "y[0] sums to 2"),
        (np.array([[0.5, 0.5], [-0.5, 1.5]]), "cross-entropy", "y[1] has a negative value"),
    ],
)
def test_rows_refused(rows, loss, message):
    with pytest.raises(InputError) as refusal:
        row_targets(rows, loss, "y")
    assert message in str(refusal.value)


def test_labels_and_a_loss_for_numbers():
    with pytest.raises(InputError, match=r"--loss l1: is for numbers, mnist holds classes"):
        class_targets(torch.tensor([0, 1]), ("0", "1"), "l1", "mnist")


def test_unknown_loss():
    with pytest.raises(InputError, match="--loss hinge: unknown; choose cross-entropy"):
        check_loss("hinge")
