"""Executors, which run the trainings of a search: one per file, and the folder is the catalogue of its entries."""

from dcdnas.core.catalogue import Catalogue
from dcdnas.core.plugins import Place, accept
from dcdnas.engine.executors._base import Executor

executors: Catalogue[type[Executor]] = Catalogue("engine.executors", "executor")

accept(Place(executors, Executor, "executor"))

__all__ = ["Executor", "executors"]
