"""The shipped search spaces by name, and the choice of a space when only a budget is given."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path

from dcdnas.core.budget import Budget
from dcdnas.core.cache import Records, code_digest
from dcdnas.core.files import is_file
from dcdnas.core.units import quantity
from dcdnas.cost import ALWAYS, price
from dcdnas.errors import FileError, NothingFitsError, nearest
from dcdnas.space.parts import rank
from dcdnas.space.pricing.cost import largest, smallest
from dcdnas.space.reading.reader import read_space
from dcdnas.space.search_space import SearchSpace

FOLDER = Path(__file__).parents[1] / "search_spaces"


def shipped() -> dict[str, Path]:
    """Maps the name of each shipped space to its file."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}


def find_space(name: str) -> Path:
    """Returns the file of a shipped space, or `name` itself as a path when it is an existing file.

    Raises:
        FileError: when `name` is neither.
    """
    if name in shipped():
        return shipped()[name]
    if is_file(name):
        return Path(name)
    raise FileError(
        f"no search space {name!r}: neither a file nor one that ships. {nearest(name, shipped())} `dcdnas init` writes a starter."
    )


def load_space(name: str) -> SearchSpace:
    """Reads a shipped space by name, or a space file by path.

    Raises:
        FileError: when there is no such file.
        SpaceError: with all problems of the file.
    """
    return read_space(find_space(name))


def space_for(budgets: Sequence[Budget], images: tuple[int, int] | None = None) -> Path:
    """Returns the smallest shipped space whose cost range contains every budget; spaces that are `named_only` are left out.

    Args:
        budgets: that the cost range must contain.
        images: channels and number of classes of the images that the networks are for; None for those of each space file.

    Raises:
        NothingFitsError: when no shipped space qualifies.
    """
    dearest = {path: _kept(path, images, "dearest static", _dearest_static) for path in shipped().values()}
    paths = sorted((path for path, cost in dearest.items() if cost), key=dearest.__getitem__)
    for path in paths:
        ends = ((_ends(path, images, b.metric), b.at_most) for b in budgets)
        if all(low <= bound <= high for (low, high), bound in ends):
            return path
    ranges = "; ".join(f"{p.stem}: {' to '.join(quantity('flops', end) for end in _ends(p, images, 'flops'))}" for p in paths)
    raise NothingFitsError(
        f"no shipped space has networks on both sides of {', '.join(map(str, budgets))} ({ranges}). Name a space, or write one."
    )


def _ends(path: Path, images: tuple[int, int] | None, metric: str) -> list[float]:
    """Costs of the cheapest and of the most expensive network of a shipped space."""

    def find(space: SearchSpace) -> list[float]:
        return [end(space, metric).cost[metric] for end in (smallest, largest)]

    return _kept(path, images, metric, find) if metric in ALWAYS else find(_read(path, images))


def _dearest_static(space: SearchSpace) -> list[float]:
    """Multiply-adds of the static network with every structural option at its largest, by which spaces are ordered.

    An empty list for a space that is `named_only`.
    """
    if space.named_only:
        return []
    structure = {v.decision: max(v.options, key=rank) for v in space.variables if v.decision}
    operators = {g.operator: g.candidates[0].operator for g in space.groups}
    return [price(space.architecture({**structure, **operators}))["flops"]]


def _kept(path: Path, images: tuple[int, int] | None, what: str, find: Callable[[SearchSpace], list[float]]) -> list[float]:
    """Returns numbers about a shipped space, cached on disk so that later processes need not parse its file."""
    key = json.dumps([path.stem, images, what])
    kept = _records().read(key).get(key)
    if not isinstance(kept, list) or not all(isinstance(number, (int, float)) for number in kept):
        kept = find(_read(path, images))
        _records().append(key, kept)
    return kept


@cache
def _records() -> Records:
    return Records(f"spaces-{code_digest()}")


@lru_cache(maxsize=32)
def _read(path: Path, images: tuple[int, int] | None) -> SearchSpace:
    return read_space(path, images)
