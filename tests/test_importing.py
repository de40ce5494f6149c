"""What a process of Gradus's own leaves at its end, and what it keeps from the collector."""

import gc
import weakref

import pytest

from gradus import importing


class Thing:
    """What can hold another."""

    other: "Thing"


def pair() -> weakref.ref[Thing]:
    one, two = Thing(), Thing()
    one.other, two.other = two, one
    return weakref.ref(one)


@pytest.mark.parametrize("amid_run", [False, True])
def test_what_a_run_leaves_is_collected_at_the_end(
    monkeypatch: pytest.MonkeyPatch, amid_run: bool
) -> None:
    """What holds each other is freed at the end, unless it was kept as what is imported is."""
    monkeypatch.setattr(importing, "_alone", True)
    try:
        with importing.without_collection(amid_run=amid_run):
            left = pair()
        importing._end()
        assert (left() is None) == amid_run
    finally:
        gc.unfreeze()
    gc.collect()
    assert left() is None
