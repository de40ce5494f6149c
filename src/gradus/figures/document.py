"""How a page is put together: a template in which names stand for what is put in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files

from gradus.figures import style
from gradus.figures.picture import Picture


def filled(template: str, parts: Mapping[str, str]) -> str:
    """A template with its parts; what is put in is not looked at again.

    Args:
        template: name of its file, which has ``{{name}}`` where a part belongs.
        parts: by name, as HTML.
    """
    folder = files("gradus.figures")
    known = {"style": (folder / "page.css").read_text(encoding="utf-8"), **parts}
    first, *pieces = (folder / template).read_text(encoding="utf-8").split("{{")
    found = [first]
    for piece in pieces:
        name, rest = piece.split("}}", 1)
        found += [known[name], rest]
    return "".join(found)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts.

    Example:
        >>> table(["a"], [["<"]])
        '<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>&lt;</td></tr></tbody></table>'
    """
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = ("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{names}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def drawn(pictures: Sequence[Picture]) -> str:
    """Pictures below each other, each with its title."""
    return "\n".join(
        f"<h2>{escape(picture.title)}</h2>\n"
        f"<figure>{style.in_page(picture.draw(), picture.name)}</figure>"
        for picture in pictures
    )
