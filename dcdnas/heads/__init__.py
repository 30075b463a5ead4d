"""Heads whose weights are an argument: a network makes a set of them for each object that it is asked about."""

from dcdnas.heads._generated import generated, multiply_adds, parameters_of, relative_to

__all__ = ["generated", "multiply_adds", "parameters_of", "relative_to"]
