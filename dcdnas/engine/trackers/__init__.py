"""Trackers that a search tells what happens, one a file; the folder is the table of its entries."""

from dcdnas.core.catalogue import Catalogue
from dcdnas.engine.trackers._base import Logger

loggers: Catalogue[type[Logger]] = Catalogue("engine.loggers", "logger")

__all__ = ["Logger", "loggers"]
