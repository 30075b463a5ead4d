"""What can be learned about a trained network: how far its layers depend on the image, and how sequences evolve."""

from dcdnas.analysis._evolution import LEAST_READINGS, course_of, evolution, heights
from dcdnas.analysis._modes import Modes, modes

__all__ = ["LEAST_READINGS", "Modes", "course_of", "evolution", "heights", "modes"]
