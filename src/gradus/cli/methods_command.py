"""`gradus methods`: which there are, what a step costs, when to take which."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import click

from gradus.cli.exit_codes import DONE
from gradus.errors import InputError, quoted

if TYPE_CHECKING:
    from gradus.methods.catalogue import Entry

METHODS_EXAMPLES = """\b
Examples:
  gradus methods                                   all of them, in a table
  gradus methods adamw                             its equation, its options, its source
  gradus methods sam                               what goes around any other
"""


@click.command(epilog=METHODS_EXAMPLES, short_help="Tell which methods there are, and of each.")
@click.argument("name", required=False)
def methods(name: str | None) -> int:
    """List all methods: what a step costs, what it holds, when to take it and when not.

    With NAME tell of one its equation, its options and where it was published.
    """
    from gradus.cli.methods_report import show, show_all

    if name is None:
        show_all()
    else:
        show(_named(name))
    return DONE


def _named(name: str) -> Entry:
    """The method of a name, or of its class."""
    from gradus.methods.catalogue import entries, name_of, wrappers

    known = {**entries(), **wrappers()}
    found = known.get(name_of(name)) or known.get(name.lower().replace("_", "-"))
    if found is None:
        near = difflib.get_close_matches(name.lower(), known, n=2)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
        raise InputError(f"{quoted(name)} is no method; {hint}")
    return found
