"""`gradus.trainability_map`, whose messages are in the words of the call."""

from __future__ import annotations

from gradus.runs.words import in_words_of_the_call
from gradus.trainability.trainability import trainability_map as in_words_of_flags

trainability_map = in_words_of_the_call()(in_words_of_flags)
