"""A diagnosis as one page: everything in one file of HTML, which needs no network."""

from __future__ import annotations

from html import escape

from gradus.diagnosis.findings import Diagnosis, Finding
from gradus.figures.diagnosis.pictures import course_of, pictures
from gradus.figures.document import drawn, filled


def page(found: Diagnosis) -> str:
    """The verdict, each finding with its experiment and remedy, and what was seen of the run.

    Example:
        >>> import gradus
        >>> from gradus.figures.diagnosis.page import page
        >>> run = gradus.train(gradus.RunSpec(model="linear", lr=0.5, epochs=20))
        >>> content = page(gradus.diagnose(run))
        >>> content.startswith("<!doctype html>"), "nothing found" in content
        (True, True)
    """
    seen = "" if found.evidence is None else drawn(pictures(course_of(found.evidence)))
    return filled(
        "diagnosis.html",
        {
            "title": escape(found.run),
            "verdict": escape(found.verdict),
            "findings": "\n".join(map(_finding, found.findings)),
            "notes": "".join(f'<p class="note">{escape(note)}</p>' for note in found.notes),
            "pictures": seen,
            "looked_for": escape(", ".join(found.looked_for)),
        },
    )


def _finding(found: Finding) -> str:
    figures = "".join(f"<li>{escape(str(figure))}</li>" for figure in found.figures)
    tried = "" if found.experiment is None else f"<p>Tried: {escape(str(found.experiment))}.</p>"
    remedy = found.remedy.command or found.remedy.call
    return (
        f'<section class="{found.state}"><h2>{escape(found.cause)} ({found.state})</h2>'
        f"<p>{escape(found.sentence)}</p><ul>{figures}</ul>{tried}"
        f"<pre>{escape(remedy)}</pre><p class='note'>Read {escape(found.read)}.</p></section>"
    )
