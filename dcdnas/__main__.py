"""`python -m dcdnas`: the command line, for a program that starts it with its own interpreter."""

from dcdnas.cli import main

main()
