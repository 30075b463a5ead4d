"""Chooses, records and reopens the benchmark table in which a search looks its results up instead of training."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import islice
from typing import Any

from dcdnas.core.budget import Budget
from dcdnas.core.task import TABLE, TrainingTask
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.execution import TABULAR
from dcdnas.errors import DataError, RunError, UsageError
from dcdnas.space.pricing.cost import draws_within
from dcdnas.space.search_space import SearchSpace
from dcdnas.tables import Table, tables

TRIED = 200
"""Number of random networks within the budgets that a table must contain before a search on it begins."""


def chosen_table(executor: str, file: str | None, space: SearchSpace, budgets: Sequence[Budget]) -> Table | None:
    """Opens the table for the networks of a space; None when they are trained.

    Args:
        executor: the requested executor.
        file: file with the table; None for the fetched one.
        space: space whose networks are looked up.
        budgets: budgets of the search.

    Raises:
        UsageError: when no table has networks of this kind, or the table lacks some of them.
        DataError: when the file is missing or damaged.
    """
    if executor != TABULAR:
        if file:
            raise UsageError(f"--table {file}: a table is for --executor {TABULAR}. Add that, or leave the table out.")
        return None
    table = _kind_for(space)(file)
    try:
        for drawn in islice(draws_within(space, budgets, random.Random(0)), TRIED):
            table.readings(drawn.architecture)
    except DataError as error:
        raise UsageError(f"{space.name} cannot be searched on this table: {error}") from None
    return table


def _kind_for(space: SearchSpace) -> type[Table]:
    """The benchmark with the name of the space, or else the first one whose networks have the space's backbone."""
    like = [name for name in tables if space.network == tables[name].NETWORK]
    if not like:
        raise UsageError(
            f"--executor {TABULAR}: no table has networks like those of {space.name} ({space.network}). There are tables of: "
            f"{', '.join(tables)}. Search a space of such networks: `dcdnas search {next(iter(tables))} --executor {TABULAR}`."
        )
    return tables[space.name if space.name in like else like[0]]


def task_of(table: Table, space: SearchSpace, scanned: bool = False) -> TrainingTask:
    """The training task that stands for the trainings in a table.

    Args:
        table: table with the trainings.
        space: space that is searched.
        scanned: whether a short training comes first, if the table has short trainings.
    """
    scan = table.scan if scanned else 0
    data, side = f"{TABLE}{table.NAME}", max(space.resolutions)
    return TrainingTask(data=data, epochs=scan + table.EPOCHS, scan=scan, deployed_side=side, norm_batches=0)


def unseen_trainings(task: TrainingTask) -> int:
    """Number of trainings of a network in the task's table, apart from the one that the search uses."""
    return tables[task.table].TRAININGS - 1


def check_objectives(task: TrainingTask, names: Sequence[str]) -> None:
    """Raises UsageError for an objective of which the task's table has no readings."""
    known = tables[task.table].OBJECTIVES
    missing = [name for name in names if name not in known]
    if missing:
        raise UsageError(f"{task.data}: the table has no {missing[0]}. It has: {', '.join(known)}.")


def record(table: Table) -> dict[str, Any]:
    """The record of a table in the config of a search."""
    return {"about": table.ABOUT, "networks": len(table), "path": str(table.path.absolute()), "sha256": table.sha256}


def recorded_table(config: SearchConfig) -> Table:
    """Opens the table that a search has recorded.

    Raises:
        UsageError: when the search trains its networks.
        RunError: when the file is missing or was changed.
    """
    if not config.table:
        raise UsageError(f"the networks of this search are trained: no {TABULAR} executor can look them up. Take another one.")
    path = config.table["path"]
    try:
        table = tables[config.task.table](path)
    except DataError as error:
        raise RunError(f"the table of this search cannot be read: {error}") from None
    if table.sha256 != config.table["sha256"]:
        raise RunError(f"{path}: not the table that the run was searched with: its content was changed. Put it back.")
    return table
