"""The table of a benchmark that a search looks its results up in, instead of training: chosen, written down, opened again."""

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
"""Random networks within the budgets that a table must all have before a search on it begins."""


def chosen_table(executor: str, file: str | None, space: SearchSpace, budgets: Sequence[Budget]) -> Table | None:
    """The table for the networks of a space; None where they are trained.

    Args:
        executor: that was asked for.
        file: with the table; None for the one that was fetched.
        space: whose networks are looked up.
        budgets: of the search.

    Raises:
        UsageError: when there is no table of such networks, or it has not all of them.
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
    """The benchmark that is called as the space, else the first one with networks of its backbone."""
    like = [name for name in tables if space.network == tables[name].NETWORK]
    if not like:
        raise UsageError(
            f"--executor {TABULAR}: no table has networks like those of {space.name} ({space.network}). There are tables of: "
            f"{', '.join(tables)}. Search a space of such networks: `dcdnas search {next(iter(tables))} --executor {TABULAR}`."
        )
    return tables[space.name if space.name in like else like[0]]


def task_of(table: Table, space: SearchSpace, scanned: bool = False) -> TrainingTask:
    """What stands for a training: the readings of one that the table has.

    Args:
        table: with the trainings.
        space: that is searched.
        scanned: whether a short training comes before, where the table has such.
    """
    scan = table.scan if scanned else 0
    data, side = f"{TABLE}{table.NAME}", max(space.resolutions)
    return TrainingTask(data=data, epochs=scan + table.EPOCHS, scan=scan, deployed_side=side, norm_batches=0)


def unseen_trainings(task: TrainingTask) -> int:
    """How many trainings of a network the task's table has beside the one that a search sees."""
    return tables[task.table].TRAININGS - 1


def check_objectives(task: TrainingTask, names: Sequence[str]) -> None:
    """Raises UsageError for an objective that the task's table has no readings of."""
    known = tables[task.table].OBJECTIVES
    missing = [name for name in names if name not in known]
    if missing:
        raise UsageError(f"{task.data}: the table has no {missing[0]}. It has: {', '.join(known)}.")


def record(table: Table) -> dict[str, Any]:
    """What a search's configuration says of its table."""
    return {"about": table.ABOUT, "networks": len(table), "path": str(table.path.absolute()), "sha256": table.sha256}


def recorded_table(config: SearchConfig) -> Table:
    """The table of a search that was made.

    Raises:
        UsageError: when its networks are trained.
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
