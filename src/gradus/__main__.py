"""`python -m gradus` is the command line."""

from gradus.cli import command

command()
