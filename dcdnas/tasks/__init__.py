"""What networks are trained for and how they are judged."""

from dcdnas.tasks._objectives import ACCURACY, LOSS, goals_of, of_classes, recorded

__all__ = ["ACCURACY", "LOSS", "goals_of", "of_classes", "recorded"]
