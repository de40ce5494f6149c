"""The facts of the pictures of the subject, found once for all tests of a process."""

from functools import cache

from gradus.figures.subject.catalogue import CATALOGUE, Subject

find = Subject.facts


@cache
def facts_of(name):
    return find(CATALOGUE[name])
