"""Begins the run of a plan. A run that the user did not name gets a folder that no other search takes at the same moment."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from dcdnas.engine.config import SearchConfig
from dcdnas.engine.planning.plan import Plan
from dcdnas.engine.prepare import prepare


def begun(plan: Plan) -> Plan:
    """Creates the run of a plan, or continues the existing run that the user named; see `dcdnas.engine.prepare.prepare`.

    Returns:
        The plan with the folder of the run and the config to search with.
    """
    if plan.named:
        config = prepare(plan.folder, plan.config, plan.table, plan.execution.task)
        return replace(plan, config=config, notes=(*plan.notes, *_notes(config, plan.config)))
    before = plan.folder.parent.is_dir()
    folder = _made(plan.folder)
    try:
        return replace(plan, folder=folder, config=prepare(folder, plan.config, plan.table, plan.execution.task))
    except BaseException:
        with suppress(OSError):  # it has files already
            folder.rmdir()
            if not before:
                folder.parent.rmdir()
        raise


def other_kernels(folder: Path) -> str:
    """Note for a run that continues with other CPU kernels than it was begun with; else empty."""
    return SearchConfig.read(folder / "search.yaml").other_kernels


def _made(folder: Path) -> Path:
    """Creates the folder or, where another search has created it since the plan was made, that of the next free number."""
    stem, _, number = folder.name.rpartition("-")
    n = int(number)
    while True:
        one = folder.with_name(f"{stem}-{n}")
        try:
            one.mkdir(parents=True)
        except OSError as error:
            if not isinstance(error, FileExistsError) or not one.exists():  # such as a link to a disk that is not mounted
                return folder  # `prepare` says why it cannot be made
            n += 1
        else:
            return one


def _notes(config: SearchConfig, wanted: SearchConfig) -> list[str]:
    """Notes for a run that is continued and keeps settings that this search would have otherwise."""
    notes = []
    if config.keep_weights != wanted.keep_weights:
        notes.append(
            f"the run keeps the weights that it was begun with, --keep-weights {config.keep_weights}. To keep those of "
            f"--keep-weights {wanted.keep_weights}, begin a new run, with another --name."
        )
    if config.starts != wanted.starts:
        notes.append(
            f"the run keeps the {config.starts} networks before the sampler that it was begun with; a new run of {wanted.trials} "
            f"trainings would have {wanted.starts}."
        )
    return notes
