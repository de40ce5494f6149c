"""What a terminal or pipe cannot show is written in ASCII: alpha for α, x for ×, | for │."""

from __future__ import annotations

import codecs
import io
from functools import cache
from typing import TextIO

ASCII_FORMS = {
    **dict(zip("αβγδεζηθκλμνξπρστφχψω", (
        "alpha", "beta", "gamma", "delta", "eps", "zeta", "eta", "theta", "kappa", "lambda", "mu",
        "nu", "xi", "pi", "rho", "sigma", "tau", "phi", "chi", "psi", "omega",
    ), strict=True)),
    **dict(zip("ΔΘΛΞΠΣΦΨΩ", (
        "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Phi", "Psi", "Omega",
    ), strict=True)),
    **dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True)),
    **dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹", (f"^{digit}" for digit in range(10)), strict=True)),
    **dict(zip("ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", map("_{}".format, "aehijklmnoprstuvx"), strict=True)),
    **dict(zip("₊₋₌₍₎⁺⁼⁽⁾", "+-=()+=()", strict=True)),
    "⁻": "^-",
    **dict(zip(
        "ᵃᵇᶜᵈᵉᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵀ", map("^{}".format, "abcdeghijklmnoprstuvwxyzT"), strict=True
    )),
    "\u0302": "^", "\u0303": "~", "\u0304": "-", "½": "1/2", "¼": "1/4", "¾": "3/4",
    "↦": "|->", "⋯": "...", "⊙": "*", "⌈": "ceil(", "⌉": ")",
    "±": "+/-", "×": "x", "·": "*", "÷": "/", "−": "-", "√": "sqrt", "∞": "inf", "∇": "grad ",
    "∂": "d", "∑": "sum", "∈": "in", "≈": "~", "≠": "!=", "≤": "<=", "≥": ">=", "‖": "||",
    "←": "<-", "↑": "^", "→": "->", "↓": "v", "⇒": "=>", "°": " deg",
    "–": "-", "—": "-", "…": "...", "‘": "'", "’": "'", "“": '"', "”": '"', "„": '"', "•": "*",
    "‰": "per mille", "ʼ": "'", "ł": "l", "č": "c", "л": "l", "в": "v",
    "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "₽": "RUB", "₩": "KRW", "₺": "TRY", "₪": "ILS",
    "₫": "VND", "฿": "THB", "₴": "UAH", "₱": "PHP",
    "\N{NO-BREAK SPACE}": " ", "\N{NARROW NO-BREAK SPACE}": " ", "\N{THIN SPACE}": " ",
    "\N{FIGURE SPACE}": " ",
    # Frames and curves keep their columns: one character for one.
    **dict.fromkeys("│┃║╎╏┆┇┊┋╵╷╹╻", "|"), **dict.fromkeys("─━═╴╶╸╺┄┅┈┉╌╍", "-"),
    **dict.fromkeys("┌┍┎┏┐┑┒┓└┕┖┗┘┙┚┛├┣┤┫┬┳┴┻┼╋╔╗╚╝╠╣╦╩╬╭╮╯╰", "+"),
    **dict.fromkeys("▘▝▀", "'"), **dict.fromkeys("▖▗▄", "."), **dict.fromkeys("▌▐▞▚▛▜▙▟", ":"),
    **dict.fromkeys("█▓▒░■", "#"), "□": "o", "●": "*", "○": "o", "◆": "*", "✕": "x", "✗": "x",
    "✓": "v", "▲": "^", "▼": "v", "▶": ">", "◀": "<",
}  # fmt: skip
"""What stands for a character that a stream lacks; others are written as Python writes them."""

ASCII = "gradus-ascii"
"""ASCII under a name of our own. Click takes a stream that is called ``ascii`` for one that was set
up by mistake, and writes UTF-8 to it."""

_ERRORS = "gradus-forms"


def write_ascii_forms(*streams: TextIO | None) -> None:
    """Let streams write the ASCII form of what their encoding lacks, whoever prints to them.

    Click, Rich and Python's own ``print`` all end here. A path that is no text (which Python reads
    as lone surrogates) is shown escaped. Streams that are not those of a terminal, a pipe or a file
    are left alone.

    Example:
        >>> stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
        >>> write_ascii_forms(stream)
        >>> stream.write("α = 3 × 10²")
        11
        >>> stream.flush(), stream.buffer.getvalue().decode("latin-1")
        (None, 'alpha = 3 × 10²')
    """
    _register()
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            ascii_only = codecs.lookup(stream.encoding).name == "ascii"
            stream.reconfigure(encoding=ASCII if ascii_only else stream.encoding, errors=_ERRORS)


@cache
def _register() -> None:
    codecs.register_error(_ERRORS, _forms)
    codecs.register(_codec)


def _forms(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    escaped = (c.encode("ascii", "backslashreplace").decode() for c in lacking)
    forms = (ASCII_FORMS.get(c, other) for c, other in zip(lacking, escaped, strict=True))
    return "".join(forms), error.end


def _codec(name: str) -> codecs.CodecInfo | None:
    if name != ASCII.replace("-", "_"):
        return None
    known = codecs.lookup("ascii")
    return codecs.CodecInfo(
        known.encode,
        known.decode,
        known.streamreader,
        known.streamwriter,
        known.incrementalencoder,
        known.incrementaldecoder,
        name=ASCII,
    )
