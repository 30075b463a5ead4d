"""The spaces that ship, by name, and the one to take when only a budget is given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dcdnas.core.budget import Budget
from dcdnas.core.files import is_file
from dcdnas.core.units import quantity
from dcdnas.cost import price
from dcdnas.errors import FileError, NothingFitsError, nearest
from dcdnas.space.parts import rank
from dcdnas.space.pricing.cost import largest, smallest
from dcdnas.space.reading.reader import read_space
from dcdnas.space.search_space import SearchSpace

FOLDER = Path(__file__).parents[1] / "search_spaces"


def shipped() -> dict[str, Path]:
    """Name -> file of the spaces inside the package."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}


def find_space(name: str) -> Path:
    """The file of a shipped space's name, or the path itself when it is one.

    Raises:
        FileError: when there is neither.
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
    """The smallest shipped space whose cost range holds every budget, of those that need not be named.

    Args:
        budgets: to be held.
        images: channels and number of classes of the images that the networks are for; None for those that each space says.

    Raises:
        NothingFitsError: when none does.
    """
    found = ((read_space(path, images), path) for path in shipped().values())
    spaces = sorted(((space, path) for space, path in found if not space.named_only), key=lambda s: _dearest_static(s[0]))
    for space, path in spaces:
        if all(smallest(space, b.metric).cost[b.metric] <= b.at_most <= largest(space, b.metric).cost[b.metric] for b in budgets):
            return path
    ends = [(s.name, [quantity("flops", end(s, "flops").cost["flops"]) for end in (smallest, largest)]) for s, _ in spaces]
    ranges = "; ".join(f"{name}: {' to '.join(costs)}" for name, costs in ends)
    raise NothingFitsError(
        f"no shipped space has networks on both sides of {', '.join(map(str, budgets))} ({ranges}). Name a space, or write one."
    )


def _dearest_static(space: SearchSpace) -> float:
    """Cost of the network with every structural option at its largest and nothing dynamic: what spaces are ordered by."""
    structure = {v.decision: max(v.options, key=rank) for v in space.variables if v.decision}
    return price(space.architecture({**structure, **{g.operator: g.candidates[0].operator for g in space.groups}}))["flops"]
