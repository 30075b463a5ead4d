"""Trackers that a search tells what happens, one a file; the folder is the table of its entries."""

from dcdnas.core.catalogue import Catalogue
from dcdnas.core.plugins import Place, accept
from dcdnas.engine.trackers._base import Tracker

trackers: Catalogue[type[Tracker]] = Catalogue("engine.trackers", "tracker")

accept(Place(trackers, Tracker, "tracker"))

__all__ = ["Tracker", "trackers"]
