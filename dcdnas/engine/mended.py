"""Replaces the task of a run by a corrected version, as long as no training has ended with the original one."""

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
    """Replaces the run's copy of its task by the file given with ``--plugin``, if the two differ.

    Args:
        folder: folder of the run; nothing is changed while another driver searches there.

    Raises:
        RunError: when the run has results of the original file, because those of another file could not be compared with them.
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
            f"{folder.name}: {ended} of its trainings have ended with its own copy of {file}, which differs from {mended.path}. "
            "Results of the two cannot be compared: begin a new search with the new file, under another `--name`."
        )
    write_whole(folder / FOLDER / file, mended.text)
    replace(config, plugins={**config.plugins, mended.name: mended.record}).write(folder / "search.yaml")


def _is_another(plugin: Plugin, config: SearchConfig) -> bool:
    """Whether the plugin has the name of the run's task but different content."""
    recorded = config.plugins.get(plugin.name, {}) if plugin.name == config.task.own else {}
    return recorded.get("kind") == plugin.kind and recorded.get("sha256") not in (None, plugin.digest)
