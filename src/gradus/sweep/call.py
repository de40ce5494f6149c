"""Sweeps in Python: what is wrong is said in the words of the call."""

from __future__ import annotations

from gradus.runs.words import in_words_of_the_call
from gradus.sweep import sweep

_said = in_words_of_the_call(resume="gradus.resume_sweep")

train_sweep = _said(sweep.train_sweep)
resume_sweep = _said(sweep.resume_sweep)
open_sweep = _said(sweep.open_sweep)
