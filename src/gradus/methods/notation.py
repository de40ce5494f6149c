r"""Equations as a terminal writes them: ``\frac{\alpha_t}{1 - \beta^t}`` is ``αₜ / (1 − βᵗ)``.

What LaTeX shows by place is shown by signs: fractions by a stroke, with the parentheses that they
need, indices and powers by small letters where Unicode has them, else by ``_`` and ``^``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

SYMBOLS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "eta": "η",
    "lambda": "λ", "mu": "μ", "pi": "π", "psi": "ψ", "rho": "ρ", "sigma": "σ", "tau": "τ",
    "theta": "θ", "xi": "ξ", "Omega": "Ω", "Delta": "Δ", "nabla": "∇", "infty": "∞",
    "leftarrow": "←", "mapsto": "↦", "cdot": "·", "cdots": "⋯", "times": "×", "odot": "⊙",
    "le": "≤", "ge": "≥", "ne": "≠", "in": "∈", "sum": "Σ", "|": "‖",
    "lceil": "⌈", "rceil": "⌉",
    " ": " ", ",": " ", ";": " ", "quad": " ", "qquad": " ",
    "!": "", "left": "", "right": "", "big": "", "Big": "",
}  # fmt: skip
"""What a command is written as; one that is not here is written by its name, as max."""

OVER = {"hat": "\u0302", "tilde": "\u0303", "bar": "\u0304"}
"""What stands over a letter."""

SMALL = {
    "_": str.maketrans("0123456789+−=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ"),
    "^": str.maketrans(
        "0123456789+−=()abcdeghijklmnoprstuvwxyzT", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵀ"
    ),
}  # fmt: skip
"""Letters below and above the line."""

SIMPLE = {"12": "½", "14": "¼", "34": "¾"}
"""Fractions that are one sign."""


def written(latex: str) -> str:
    r"""What LaTeX says, in lines: one for each row of it, and one for each part after a ``\qquad``.

    Example:
        >>> written(r"w_{t+1} = w_t - \alpha_t \nabla f(w_t; \xi_t)")
        'wₜ₊₁ = wₜ − αₜ ∇ f(wₜ; ξₜ)'
        >>> written(r"w - \frac{\hat m}{\sqrt{\hat v} + \epsilon}")
        'w − m̂ / (√v̂ + ε)'
    """
    latex = re.sub(r"\\(?:begin|end)\{aligned\}", "", _cased(latex))
    rows = re.split(r"\\\\|\\qquad(?!\s*\\text)", latex.replace("&", ""))
    lines = (re.sub(r" (?=[,;)])", "", " ".join(_Reader(row).read().split())) for row in rows)
    return "\n".join(line.rstrip(", ") for line in lines if line)


def _cased(latex: str) -> str:
    """The cases of a choice one after the other: each row is a value and when it is taken."""

    def one_line(found: re.Match[str]) -> str:
        rows = [row.split("&") for row in found[1].split(r"\\")]
        told = (
            rf"\text{{else }}{value}"
            if "else" in when
            else rf"{value.strip()} \text{{ if }} {when}"
            for value, when in rows
        )
        return rf"({', '.join(told)})"

    return re.sub(r"\\begin\{cases\}(.*?)\\end\{cases\}", one_line, latex, flags=re.DOTALL)


class _Reader:
    """What is left of a piece of LaTeX, read token by token."""

    def __init__(self, latex: str) -> None:
        self._tokens = re.findall(r"\\[A-Za-z]+|\\.|[\s\S]", latex.strip())

    def read(self) -> str:
        """All of it."""
        return "".join(self._pieces())

    def _pieces(self) -> Iterator[str]:
        after_fraction = False
        while self._tokens:
            token = self._tokens.pop(0)
            piece = self._piece(token)
            if after_fraction and piece.strip():
                # What stands beside a fraction is a factor, not a part of what is below its line.
                yield " · " if piece.strip()[0].isalnum() or piece.strip()[0] in "√∇(" else ""
                after_fraction = False
            if token == r"\frac":
                after_fraction = True
            yield piece

    def _piece(self, token: str) -> str:
        command = token.removeprefix("\\")
        if token in ("{", "\\{"):
            self._tokens.insert(0, token)
            return self._argument()
        if token in ("^", "_"):
            return self._small(token)
        if not token.startswith("\\"):
            return {"-": "−", "\n": " ", "~": " "}.get(token, token)
        if command == "frac":
            above, below = self._argument(), self._argument()
            return f"{_enclosed(above, '+−')} / {_enclosed(below, '+−· ')}"
        if command == "tfrac":
            digits = self._argument() + self._argument()
            return SIMPLE[digits]
        if command == "sqrt":
            return f"√{_enclosed(self._argument(), '+−·/ ')}"
        if command in OVER:
            return self._argument() + OVER[command]
        if command in ("text", "mathrm"):
            return self._group()
        return SYMBOLS.get(command, command)

    def _argument(self) -> str:
        """The group, or the single token, that a command takes."""
        while self._tokens[0].isspace():
            self._tokens.pop(0)
        if self._tokens[0] == "{":
            return " ".join(_Reader(self._group()).read().split())
        return self._piece(self._tokens.pop(0))

    def _group(self) -> str:
        """The inside of the braces that come next, as it is."""
        while self._tokens[0].isspace():
            self._tokens.pop(0)
        depth, inside = 0, []
        while True:
            token = self._tokens.pop(0)
            depth += (token == "{") - (token == "}")
            inside.append(token)
            if not depth:
                return "".join(inside[1:-1])

    def _small(self, place: str) -> str:
        """A subscript or a power."""
        text = self._argument()
        narrow = text.replace(" ", "") if len(text) > 1 else text
        small = narrow.translate(SMALL[place])
        if all(ord(letter) in SMALL[place] for letter in narrow):
            return small
        return place + (text if len(text) == 1 else f"({text})")


def _enclosed(text: str, signs: str) -> str:
    """The text in parentheses, if a sign, or a second factor in parentheses, is outside others."""
    depth = 0
    for before, letter in zip(" " + text, text, strict=False):
        if depth == 0 and before == ")" and letter == "(":
            return f"({text})"
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and letter in signs:
            return f"({text})"
    return text
