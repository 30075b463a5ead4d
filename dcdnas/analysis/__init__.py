"""Analyses of trained networks: how far layers depend on the image, and how sequences of values evolve over a training."""

from dcdnas.analysis._evolution import LEAST_READINGS, course_of, evolution, heights
from dcdnas.analysis._modes import Modes, modes

__all__ = ["LEAST_READINGS", "Modes", "course_of", "evolution", "heights", "modes"]
