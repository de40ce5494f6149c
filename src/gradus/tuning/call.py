"""`gradus.tune`: a search, whose messages are in the words of the call."""

from __future__ import annotations

from gradus.runs.words import in_words_of_the_call
from gradus.tuning.tune import tune as in_words_of_flags

tune = in_words_of_the_call()(in_words_of_flags)
