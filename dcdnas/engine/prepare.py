"""Creates a run's folder with plugins, latency table, store and config, or checks that it already holds the same search."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from dcdnas.core.files import is_file, is_folder, make_folder, write_whole
from dcdnas.core.objective import Bounds
from dcdnas.core.plugins import FOLDER as PLUGINS
from dcdnas.core.plugins import Plugin, outside
from dcdnas.cost.latency import prices_by
from dcdnas.cost.latency.table import LatencyTable
from dcdnas.engine import latency
from dcdnas.engine.as_trained import known_of
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.continuing import continued
from dcdnas.engine.store import FILE as MEMORY
from dcdnas.engine.store import Store
from dcdnas.errors import RunError
from dcdnas.space.pricing.cost import check_budgets, largest, smallest
from dcdnas.space.search_space import SearchSpace
from dcdnas.tasks import Task


def prepare(folder: Path, config: SearchConfig, table: LatencyTable | None = None, task: Task | None = None) -> SearchConfig:
    """Creates the run's folder, or continues an existing run of the same search.

    Args:
        folder: folder of the run.
        config: config of the search.
        table: latency table, of which a new run keeps a copy; None when no latency is priced.
        task: task object passed from Python; None for the task that the config names.

    Returns:
        The config to search with.

    Raises:
        RunError: when the folder holds another search, or other files.
        NothingFitsError: when no network meets the budgets.
        DataError: when the images are missing or damaged.
    """
    if is_file(folder / "search.yaml"):
        return continued(folder, config)
    if is_folder(folder) and not _never_started(folder):
        raise RunError(f"{folder} is not empty and is no run. Give another `--name`.")
    space = config.build_space().priced_by(prices_by(table))
    check_budgets(space, config.budgets)
    images = known_of(config.task, task)
    make_folder(folder)
    for half_made in folder.glob(f"{MEMORY}*"):
        half_made.unlink()
    _copy_plugins(folder, config)
    if table is not None:
        latency.freeze(folder, table)
    make_memory(folder, objective_bounds(space, config), images)
    config.write(folder / "search.yaml")
    return config


def _copy_plugins(folder: Path, config: SearchConfig) -> None:
    """Copies the plugin files into the run's folder, so that a later session uses the same ones."""
    for name, record in config.plugins.items():
        for plugin in outside(record["kind"], [name]):
            if isinstance(plugin, Plugin):
                make_folder(folder / PLUGINS)
                write_whole(folder / PLUGINS / Path(plugin.path).name, plugin.text)


def _never_started(folder: Path) -> bool:
    """Whether the folder has at most what a crash in `prepare` left: plugins, a latency table and a store without trials."""
    if any(not f.name.startswith((MEMORY, ".", PLUGINS, latency.FILE)) for f in folder.iterdir()):
        return False
    try:
        with closing(Store(folder)) as store:
            return not store.counts()
    except RunError:
        return not any(folder.glob(MEMORY)) or not (folder / MEMORY).stat().st_size


def make_memory(folder: Path, bounds: Bounds, images: Mapping[str, Any] | None = None) -> None:
    """Creates the run's store with the facts that never change.

    Args:
        folder: folder of the run.
        bounds: range of each objective and minimised cost metric, see `objective_bounds`.
        images: record of the training images, see `dcdnas.engine.as_trained.known_of`; None for none.
    """
    store = Store(folder, "x")
    with store.transaction():
        store.set_meta("bounds", {name: list(pair) for name, pair in bounds.items()})
        store.set_meta("created", time.time())
        if images is not None:
            store.set_meta("images", images)
        store.set_ending(None)
    store.close()


def objective_bounds(space: SearchSpace, config: SearchConfig) -> dict[str, tuple[float, float]]:
    """Ranges by which the hypervolume is scaled: of an objective its own scale, of a cost the cheapest network to the budget."""
    bounds = {o.name: (o.worst, o.best) for o in config.objectives}
    upper = {b.metric: b.at_most for b in config.budgets}
    for metric in config.minimize:
        low, high = smallest(space, metric).cost[metric], largest(space, metric).cost[metric]
        bounds[metric] = (low, max(min(high, upper.get(metric, high)), low * 1.01) or 1.0)
    return bounds
