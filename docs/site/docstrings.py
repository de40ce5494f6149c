"""Docstrings in the words that the reference pages are made from."""

import re
from typing import Any

import griffe


class Docstrings(griffe.Extension):
    """Examples are code, and roles of Sphinx are names in code."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Of every object that has a docstring."""
        if obj.docstring is not None:
            text = re.sub(
                r"^( *)Example:$", r"\1Examples:", obj.docstring.value, flags=re.MULTILINE
            )
            # Of these the parser would make a box with the first line for its title.
            text = re.sub(r"^( *)(Source|Shape): ", r"\1**\2.** ", text, flags=re.MULTILINE)
            text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", text)
            obj.docstring.value = text
