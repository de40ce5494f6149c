"""The facts of the pictures of the subject, found once for all tests of a process."""

from functools import cache

from gradus.figures.subject.catalogue import CATALOGUE


@cache
def facts_of(name):
    return CATALOGUE[name].facts()
