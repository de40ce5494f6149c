"""When an experiment is enough, and when more pairs are taken."""

import pytest

from gradus.diagnosis.causes.learning_rate import CAUSES
from gradus.diagnosis.examination import Tried
from gradus.diagnosis.findings import Experiment

SAID = "lr 0.4 in place of 0.1", "validation loss", 100, 3
(TOO_LOW,) = [each for each in CAUSES if each.name == "learning rate too low"]


def found(before, gain, error):
    return Experiment(*SAID, before, before - gain, gain, error)


class Suspected:
    certain = told = False


@pytest.mark.parametrize(
    ("before", "gain", "shown"),
    [(0.8, 0.13, True), (0.8, 0.11, False), (0.16, 0.09, True), (0.16, 0.07, False),
     (0.1, 0.055, False)],
)  # fmt: skip
def test_a_higher_rate_has_to_take_off_half_of_a_small_loss(before, gain, shown):
    assert TOO_LOW.shows(found(before, gain, 0.001)) is shown


@pytest.mark.parametrize(
    ("gain", "error", "undecided"),
    [(0.07, 0.001, False), (0.07, 0.02, True), (0.13, 0.01, False), (0.13, 0.1, True)],
)
def test_more_pairs_are_taken_where_noise_leaves_it_open(gain, error, undecided):
    tried = Tried(TOO_LOW, Suspected(), None, found(0.16, gain, error))
    assert tried.undecided is undecided
