"""How the sweeps of these tests are trained."""

import os

import pytest


@pytest.fixture(autouse=True)
def one_worker(monkeypatch):
    """A worker imports torch for more than a second: a test that needs two asks for them."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0})
