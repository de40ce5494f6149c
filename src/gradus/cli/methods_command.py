"""`gradus methods`: which there are, what a step costs, when to take which."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import click
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from gradus.cli.exit_codes import DONE
from gradus.cli.sweep_report import WIDE
from gradus.errors import InputError, quoted
from gradus.methods.catalogue import REQUIRED, Entry, entries, name_of, wrappers

METHODS_EXAMPLES = """\b
Examples:
  gradus methods                                   all of them, in a table
  gradus methods adamw                             its equation, its options, its source
  gradus methods sam                               what goes around any other
"""

NOTES = ("Cost", "Memory", "Take it", "Leave it")


@click.command(epilog=METHODS_EXAMPLES, short_help="Tell which methods there are, and of each.")
@click.argument("name", required=False)
def methods(name: str | None) -> int:
    """List all methods: what a step costs, what it holds, when to take it and when not.

    With NAME tell of one its equation, its options and where it was published.
    """
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDE
    if name is None:
        _show_all(console)
    else:
        _show(console, _named(name))
    return DONE


def _named(name: str) -> Entry:
    """The method of a name, or of its class."""
    known = {**entries(), **wrappers()}
    found = known.get(name_of(name)) or known.get(name.lower().replace("_", "-"))
    if found is None:
        near = difflib.get_close_matches(name.lower(), known, n=2)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
        raise InputError(f"{quoted(name)} is no method; {hint}")
    return found


def _show_all(console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("method", no_wrap=True)
    for note in NOTES:
        table.add_column(note.lower(), overflow="fold")
    everything = entries().values()
    first, second = [[e for e in everything if e.second_order is kind] for kind in (False, True)]
    for entry in first:
        table.add_row(*_cells(entry))
    table.add_section()
    for entry in wrappers().values():
        table.add_row(*_cells(entry))
    table.add_section()
    for entry in second:
        table.add_row(*_cells(entry))
    console.print(table)
    console.print()
    console.print(
        "cost: of a step, where hvp is a product with the Hessian; memory: in vectors as long as "
        "the parameters. gradus methods NAME tells more of one.",
        style="dim",
    )


def _cells(entry: Entry) -> Iterable[str]:
    return (entry.name, *(entry.note(note) for note in NOTES))


def _show(console: Console, entry: Entry) -> None:
    console.print(f"{entry.name}: {entry.summary}.", soft_wrap=True)
    console.print()
    console.print(Padding(entry.equation, (0, 0, 1, 2)), soft_wrap=True)
    facts = _pairs((note.lower(), entry.note(note)) for note in NOTES)
    facts.add_row("in Python", f"gradus.methods.{entry.class_name}")
    facts.add_row("source", entry.source)
    console.print(facts)
    console.print()
    console.print(f"gradus train --{_usage(entry)} takes", style="dim")
    console.print(_pairs(_options(entry)))


def _usage(entry: Entry) -> str:
    return entry.name if entry.name in wrappers() else f"method {entry.name}"


def _options(entry: Entry) -> Iterable[tuple[str, str]]:
    """The options of the command line, each with its default and what it means."""
    from gradus.runs.choices import OPTIONS, flag
    from gradus.runs.spec import RunSpec

    if entry.name in wrappers():
        for name in (entry.name, f"a{entry.name}"):  # SAM has a second form
            if name in RunSpec.model_fields:
                yield flag(name), RunSpec.model_fields[name].description or ""
        return
    usual = OPTIONS["method"][entry.name]
    for option in entry.hyperparameters:
        if option.name in usual:
            default = option.default if usual[option.name] is None else usual[option.name]
            told = "" if default is REQUIRED or default is None else f"  [{_shown(default)}]"
            yield flag(option.name), option.meaning + told


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _pairs(rows: Iterable[tuple[str, str]]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for row in rows:
        table.add_row(*row)
    return table
