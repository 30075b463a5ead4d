"""Heads whose weights are an argument, because a controller network generates one set of weights per object."""

from dcdnas.heads._generated import generated, multiply_adds, parameters_of, relative_to

__all__ = ["generated", "multiply_adds", "parameters_of", "relative_to"]
