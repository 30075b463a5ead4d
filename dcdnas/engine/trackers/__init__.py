"""Experiment trackers, which log the progress of a search: one per file, and the folder is the catalogue of its entries."""

from dcdnas.core.catalogue import Catalogue
from dcdnas.core.plugins import Place, accept
from dcdnas.engine.trackers._base import Tracker

trackers: Catalogue[type[Tracker]] = Catalogue("engine.trackers", "tracker")

accept(Place(trackers, Tracker, "tracker"))

__all__ = ["Tracker", "trackers"]
