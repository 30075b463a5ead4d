"""Runs the command line as `python -m dcdnas`, for programs that start it with a particular interpreter."""

from dcdnas.cli import main

main()
