"""`python -m gradus` is the command line."""

from gradus.cli import main

main()
