"""Chooses the space of a search and the folder of its run, and checks the plugins that the search uses."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from dcdnas.core.budget import Budget
from dcdnas.core.files import runs_folder
from dcdnas.core.installed import Installed
from dcdnas.core.plugins import Plugin, outside, place_of
from dcdnas.core.task import TrainingTask
from dcdnas.cost import ALWAYS, metrics, verified
from dcdnas.data import contents
from dcdnas.engine.planning.for_data import ForData, read_for, read_for_task
from dcdnas.engine.planning.goals import OwnTask
from dcdnas.engine.planning.settings import SearchSettings
from dcdnas.errors import FileError, MismatchError, UsageError
from dcdnas.space.library import find_space, space_for
from dcdnas.space.pricing.cost import draw
from dcdnas.space.search_space import SearchSpace

DRAWS = 50
"""Number of random networks among which one with a plugin's operator is sought."""


def chosen_space(settings: SearchSettings, budgets: Sequence[Budget], own: OwnTask | None = None) -> ForData:
    """Reads the space for the given images or task; without a name, the smallest shipped space that holds the budgets.

    The returned content has no paths of plugins, because the run keeps copies of them.

    Raises:
        UsageError: when neither a name nor a budget determines a space, or the name is not that of a space.
        NothingFitsError: when no shipped space holds the budgets.
        DataError: when the images are missing or damaged.
    """
    if settings.space is None and not budgets:
        raise UsageError(
            "neither a budget nor a space is given. Give one, like `-b 2MFLOPs`; `dcdnas list spaces` shows the spaces."
        )
    choosing = [b for b in budgets if metrics[b.metric].exact]  # a prediction is measured for one space
    if settings.space is None and not choosing:
        raise UsageError(
            f"{' and '.join(map(str, budgets))} does not determine a space, because latencies are measured for one space. Name "
            "one, like `dcdnas search fashion-quick -b 2ms`; `dcdnas list spaces` shows them."
        )
    skip = settings.skip_damaged or 0.0
    images = contents(settings.data, skip) if settings.data and not settings.space else None
    path = find_space(settings.space) if settings.space else space_for(choosing, images)
    found = read_for_task(path, own.task.input, own.task.outputs) if own else read_for(path, settings.data, skip)
    content = {key: value for key, value in found.content.items() if key != "plugins"}
    return replace(found, space=found.space.filling(budgets), content=content)


def plugins_of(space: SearchSpace, priced: Iterable[str], sampler: str, task: TrainingTask) -> Mapping[str, Mapping[str, str]]:
    """Records of the plugins that a search uses, from files and installed packages, by the name of the entry.

    Args:
        space: space that is searched.
        priced: metrics of the budgets and objectives.
        sampler: name of the sampler.
        task: the proxy training, with the name of its images.

    Raises:
        UsageError: when two plugins of different kinds have the same name.
        FileError: when the measured cost of a network with a plugin differs from its price.
    """
    used = {
        "operator": {candidate.operator for group in space.groups for candidate in group.candidates},
        "network": {space.network},
        "cost metric": {*priced},
        "sampler": {sampler},
        "data source": set() if task.own else {task.data.partition(":")[0]},
        "task": {task.own},
    }
    found: dict[str, dict[str, str]] = {}
    for kind, names in used.items():
        for plugin in outside(kind, names):
            if plugin.name in found:
                raise UsageError(
                    f"the {found[plugin.name]['kind']} and the {kind} {plugin.name!r} are both from outside dcdnas, and a "
                    "run keeps its plugins by their names. Rename one of them."
                )
            found[plugin.name] = plugin.record
            if kind in ("operator", "network", "cost metric"):
                _check_prices(space, plugin)
    return found


def _check_prices(space: SearchSpace, plugin: Plugin | Installed) -> None:
    """Builds a network of the space that uses the plugin and checks that its measured cost equals its price."""
    rng = random.Random(0)
    drawn = (space.architecture(draw(space, rng)) for _ in range(DRAWS))
    with_it = (a for a in drawn if plugin.kind != "operator" or plugin.name in {c.operator for c in a.layers.values()})
    network = next(with_it, None)
    try:
        if network is not None:
            verified(network, (plugin.name,) if plugin.kind == "cost metric" else ALWAYS)
    except MismatchError as error:
        what = str(error).partition(": ")[2].partition(". ")[0]
        raise FileError(
            f"{place_of(plugin)}: a network with it costs {what}. Both have to be the same; `dcdnas.testing` has a check for its "
            "author that shows where they differ."
        ) from None


def run_folder(settings: SearchSettings, space: SearchSpace, budgets: Sequence[Budget]) -> Path:
    """The folder of the named run; without a name, a new folder named after the space and the first budget."""
    return runs_folder() / (settings.name or _free_name(space, budgets))


def _free_name(space: SearchSpace, budgets: Sequence[Budget]) -> str:
    """Name made of the space, the first budget and the first free number."""
    budget = re.sub(r"[^A-Za-z0-9.-]", "", str(budgets[0]).rpartition("=")[2]) if budgets else "free"
    stem = f"{space.name}-{budget}"
    return next(name for n in count(1) if not (runs_folder() / (name := f"{stem}-{n}")).exists())
