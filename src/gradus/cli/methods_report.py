"""What is told on the terminal of the methods, and of one."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from gradus.cli.sweep_report import WIDE
from gradus.methods.catalogue import REQUIRED, Entry, entries, wrappers
from gradus.runs.choices import OPTIONS, flag
from gradus.runs.spec import WRAPPERS, RunSpec

NOTES = ("Cost", "Memory", "Take it", "Leave it")


def _console() -> Console:
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDE
    return console


def show_all() -> None:
    """One table of all, first-order methods first, then what goes around them."""
    console = _console()
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


def show(entry: Entry) -> None:
    """The equation of one, its notes, its source and its options."""
    console = _console()
    console.print(f"{entry.name}: {entry.summary}.", soft_wrap=True)
    console.print()
    console.print("".join(f"  {line}\n" for line in entry.equation.splitlines()), soft_wrap=True)
    facts = _pairs((note.lower(), entry.note(note)) for note in NOTES)
    facts.add_row("in Python", f"gradus.methods.{entry.class_name}")
    facts.add_row("source", entry.source)
    console.print(facts)
    console.print()
    chosen = "" if entry.name in wrappers() else f" --method {entry.name}"
    console.print(f"gradus train{chosen} takes", style="dim")
    console.print(_pairs(_options(entry)))


def _options(entry: Entry) -> Iterable[tuple[str, str]]:
    """The options of the command line, each with its default and what it means."""
    if entry.name in wrappers():
        for name, class_name in WRAPPERS.items():
            if class_name == entry.class_name:
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
