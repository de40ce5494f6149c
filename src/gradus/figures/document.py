"""How a page is put together: a template in which names stand for what is put in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files

from gradus.figures import style
from gradus.figures.picture import Picture


def filled(template: str, parts: Mapping[str, str]) -> str:
    """A page: a template with its parts; what is put in is not looked at again.

    Args:
        template: name of its file, which has ``{{name}}`` where a part belongs, and begins with
            ``{{head}}``, up to the styles that all pages share.
        parts: by name, as HTML; a title is among them.
    """
    head = _filled("head.html", {"title": parts["title"], "style": _read("page.css")})
    return _filled(template, {"head": head, **parts})


def _read(name: str) -> str:
    return (files("gradus.figures") / name).read_text(encoding="utf-8")


def _filled(template: str, known: Mapping[str, str]) -> str:
    first, *pieces = _read(template).split("{{")
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
