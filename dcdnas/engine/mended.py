"""Takes a mended task into a run whose trainings have all failed with the one that it was begun with."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from dcdnas.core.files import write_whole
from dcdnas.core.lock import live_driver
from dcdnas.core.plugins import FOLDER, Plugin, loaded
from dcdnas.core.trial import ENDED
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.store import Store
from dcdnas.errors import RunError


def take_mended_task(folder: Path) -> None:
    """Puts the task's file that was named with ``--plugin`` in the place of the run's copy; nothing where it is the same.

    Args:
        folder: of the run; while another driver searches there, nothing is changed.

    Raises:
        RunError: when the run has results of the earlier file, with which those of another one cannot be compared.
    """
    config = SearchConfig.to_go_on(folder / "search.yaml")
    mended = next((p for p in loaded() if _is_another(p, config)), None)
    if mended is None or live_driver(folder):
        return
    with closing(Store(folder)) as store:
        ended = sum(trial.state in ENDED for trial in store.trials())
    file = Path(mended.path).name
    if ended:
        raise RunError(
            f"{folder.name}: {ended} of its trainings have ended with its own copy of {file}, and {mended.path} "
            "is another file, whose results cannot be compared with theirs. Begin a new search with it, under another `--name`."
        )
    write_whole(folder / FOLDER / file, mended.text)
    replace(config, plugins={**config.plugins, mended.name: mended.record}).write(folder / "search.yaml")


def _is_another(plugin: Plugin, config: SearchConfig) -> bool:
    """Whether it has the name of the run's task, and another content."""
    recorded = config.plugins.get(plugin.name, {}) if plugin.name == config.task.own else {}
    return recorded.get("kind") == plugin.kind and recorded.get("sha256") not in (None, plugin.digest)
