"""What can be learned about a trained network: how far its layers depend on the image, and how sequences evolve."""

from dcdnas.analysis._modes import Modes, modes

__all__ = ["Modes", "modes"]
