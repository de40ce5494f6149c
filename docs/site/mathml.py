"""Equations become MathML as the site is built: no script draws them, and none is fetched."""

import html
import re

import latex2mathml.converter

FOUND = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
# What the converter has no word for, in words that it has.
WORDS = {
    r"\begin{aligned}": r"\begin{align*}",
    r"\end{aligned}": r"\end{align*}",
    r"\arg": r"\operatorname{arg}",
    r"\tfrac": r"\frac",
    r"\big": "",
    r"\Big": "",
    r"\_": "_",
    r"\dots": r"\ldots",
}


def on_page_content(content, page, **_):
    """Every equation that the Markdown extension has marked."""

    def converted(match):
        tex = html.unescape(match[3]).strip()
        for word, other in WORDS.items():
            tex = re.sub(re.escape(word) + r"(?![a-zA-Z])", lambda _, o=other: o, tex)
        display = "block" if match[2] == "[" else "inline"
        mathml = latex2mathml.converter.convert(tex, display=display)
        left = re.search(r"\\[a-zA-Z]+|<mi>&(amp;)?</mi>", html.unescape(mathml))
        if left:
            raise ValueError(f"{page.file.src_uri}: {left[0]} of {tex!r} is not known to MathML")
        return f'<div class="equation">{mathml}</div>' if display == "block" else mathml

    return FOUND.sub(converted, content)
