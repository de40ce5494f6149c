"""The reference of the methods: every name of it exists, and no public name is missing."""

import importlib
from pathlib import Path

import pytest

import gradus
import gradus.testing

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "methods.md"
NAMED = [line[4:].strip() for line in PAGE.read_text().splitlines() if line.startswith("::: ")]


@pytest.mark.parametrize("path", NAMED)
def test_what_is_named_exists_and_says_what_it_is(path):
    module, _, name = path.rpartition(".")
    assert getattr(importlib.import_module(module), name).__doc__


@pytest.mark.parametrize("package", [gradus.methods, gradus.optim, gradus.testing])
def test_every_public_class_and_function_is_named(package):
    public = {name for name in package.__all__ if callable(getattr(package, name))}
    assert public <= {path.rpartition(".")[2] for path in NAMED}
