"""Reads a YAML space file into a search space, and reports every problem at its line."""
