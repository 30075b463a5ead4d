"""Continues a run with the config of the same search, and changes its number of trainings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dcdnas.core.lock import FolderLock
from dcdnas.engine.config import SearchConfig, usual_starts
from dcdnas.engine.formats import FORMAT, command_to_go_on
from dcdnas.errors import RunError


def continued(folder: Path, config: SearchConfig) -> SearchConfig:
    """Returns the config of the existing run, which must be of the same search, with the larger number of trainings.

    Raises:
        RunError: when the run is of another search, or another process is searching it.
    """
    before = SearchConfig.to_go_on(folder / "search.yaml")
    if follow(before, config):
        config = replace(config, starts=before.starts)
    different = before.differences(config)
    if different:
        go_on = command_to_go_on(folder, FORMAT, before.task.own)
        raise RunError(
            f"{folder} holds another search. It differs in:\n  " + "\n  ".join(listed(different))
            + f"\nGive this one another `--name`, or continue with that one: `{go_on}`."
        )  # fmt: skip
    return extend(folder, max(before.trials, config.trials))


def follow(before: SearchConfig, config: SearchConfig) -> bool:
    """Whether the starts of a run and of a search that continues it may differ, because both follow from numbers of trainings.

    The run may have been given more trainings since it was begun, and keeps its starts, as with `dcdnas resume RUN -n N`.
    """
    return config.starts == usual_starts(config.trials) and before.starts <= usual_starts(before.trials)


def extend(folder: Path, trials: int) -> SearchConfig:
    """Changes the number of trainings of an existing run.

    Raises:
        RunError: when another process is searching the run, which would not notice.
    """
    before = SearchConfig.to_go_on(folder / "search.yaml")
    config = replace(before, trials=trials)
    if config != before:
        FolderLock(folder).check_free()
        config.write(folder / "search.yaml")
    return config


def listed(differences: Sequence[str], most: int = 20) -> list[str]:
    """The first `most` differences, and a line with the number of further ones."""
    more = len(differences) - most
    return [*differences[:most], *([f"and {more} more"] if more > 0 else [])]
