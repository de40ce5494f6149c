"""`gradus.export`, whose messages are in the words of the call."""

from __future__ import annotations

from gradus.exchange.export import export as in_words_of_flags
from gradus.runs.keywords import known_keywords
from gradus.runs.words import in_words_of_the_call

export = in_words_of_the_call()(known_keywords()(in_words_of_flags))
