"""Sweeps in Python: what is wrong is said in the words of the call."""

from __future__ import annotations

from gradus.runs.keywords import known_keywords
from gradus.runs.words import in_words_of_the_call
from gradus.sweep import sweep
from gradus.sweep.specification import SweepSpec

_said = in_words_of_the_call(resume="gradus.resume_sweep")
_of_the_spec = known_keywords(
    of_runs="is an option of runs: write it under base or vary of the SweepSpec",
    elsewhere=dict.fromkeys(SweepSpec.model_fields, "stands in the SweepSpec; give it there"),
)
_of_the_record = known_keywords(
    of_runs="stands in the record of the sweep, which goes on as it was begun; leave it out"
)

train_sweep = _said(_of_the_spec(sweep.train_sweep))
resume_sweep = _said(_of_the_record(sweep.resume_sweep))
open_sweep = _said(known_keywords()(sweep.open_sweep))
