"""Which space is searched, and which costs are objectives: from the budgets where nothing more was said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dcdnas.core.budget import Budget
from dcdnas.core.plugins import loaded
from dcdnas.cost import ALWAYS, metrics
from dcdnas.data import contents
from dcdnas.engine.planning.for_data import ForData, read_for
from dcdnas.engine.planning.settings import SearchSettings
from dcdnas.errors import UsageError
from dcdnas.space.library import find_space, space_for
from dcdnas.space.search_space import SearchSpace


def chosen_space(settings: SearchSettings, budgets: Sequence[Budget]) -> ForData:
    """The space for the images that were given; without a name the smallest shipped one that holds the budgets.

    The content leaves the plugins' paths out, since the run has copies of its own.

    Raises:
        UsageError: when nothing says which space is meant, or what is named is none.
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
            f"{' and '.join(map(str, budgets))} does not say which space is meant, since each has to be measured first. Name "
            "one, like `dcdnas search fashion-quick -b 2ms`; `dcdnas list spaces` shows them."
        )
    skip = settings.skip_damaged or 0.0
    images = contents(settings.data, skip) if settings.data and not settings.space else None
    found = read_for(find_space(settings.space) if settings.space else space_for(choosing, images), settings.data, skip)
    content = {key: value for key, value in found.content.items() if key != "plugins"}
    return replace(found, space=found.space.filling(budgets), content=content)


def cost_objectives(settings: SearchSettings, budgets: Sequence[Budget], space: SearchSpace) -> tuple[str, ...]:
    """The first budget's metric, then what was asked for; the first metric of every price when nothing says what a cost is.

    Where the width is fitted to the first budget all networks cost about the same: its metric is no objective.
    """
    for name in (*(b.metric for b in budgets), *settings.minimize):
        metrics[name]
    if space.fit is not None:
        filled = budgets[0].metric
        if filled in settings.minimize:
            raise UsageError(
                f"--minimize {filled}: the width in {space.name} is fitted to {budgets[0]}, so every network costs about that. "
                "Name another metric, or none."
            )
        return tuple(dict.fromkeys(settings.minimize))
    return tuple(dict.fromkeys([*(b.metric for b in budgets[:1]), *settings.minimize])) or ALWAYS[:1]


def plugins_of(space: SearchSpace) -> Mapping[str, Mapping[str, str]]:
    """The files with the space's operators from outside the package, and their digests."""
    operators = {candidate.operator for group in space.groups for candidate in group.candidates}
    return {p.name: {"path": str(Path(p.path).absolute()), "sha256": p.digest} for p in loaded(operators)}
