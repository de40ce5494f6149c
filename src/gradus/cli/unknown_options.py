"""What is said of an option that a command does not have."""

from __future__ import annotations

import difflib

import click

from gradus.runs.other_names import meant

DATA_NAMES = "data dataset train-data training-data data-set input"


def unknown_option(error: click.NoSuchOption) -> str:
    """What is said of an option that a command does not have: one line, with what may be meant."""
    given = error.option_name
    known = [name for param in _params(error) for name in param.opts if name.startswith("--")]
    word = given.lstrip("-").replace("_", "-").lower()
    if word == "track" and error.ctx is not None and error.ctx.command.name == "sweep":
        return f"{given}: follows one run; gradus export SWEEP --to tensorboard is of all runs"
    found = meant(word, known)
    if not found and word in DATA_NAMES.split() and any(p.name == "data" for p in _params(error)):
        return f"{given}: no such option; the data stand without one, as in gradus train digits"
    if not found:
        found = difflib.get_close_matches(f"--{word}", known, n=2)
    hint = f"did you mean {' or '.join(found)}?" if found else "--help lists those there are"
    return f"{given}: no such option; {hint}"


def _params(error: click.NoSuchOption) -> list[click.Parameter]:
    return [] if error.ctx is None else error.ctx.command.get_params(error.ctx)
