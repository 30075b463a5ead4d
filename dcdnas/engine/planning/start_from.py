"""Translates the front of an earlier run, from which a new search starts, into decisions of the new space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dcdnas.core import pareto
from dcdnas.core.architecture import Architecture
from dcdnas.core.budget import Budget, within
from dcdnas.core.geometry import Setting
from dcdnas.core.trial import Trial
from dcdnas.core.yaml_lines import read_yaml
from dcdnas.cost import with_always
from dcdnas.engine.folders import FILE, find_run
from dcdnas.engine.store import Store
from dcdnas.errors import RunError, UsageError
from dcdnas.networks import identity
from dcdnas.space.pricing.cost import priced
from dcdnas.space.search_space import Decisions, SearchSpace
from dcdnas.tasks import goals_of


@dataclass(frozen=True)
class Earlier:
    """The front of an earlier run, as far as a new search can train it.

    Args:
        run: name of the earlier run.
        on_front: number of networks on its front.
        expressed: number of those that belong to the new space, apart from different classes and channels of the images.
        networks: decisions of those that are also within the new budgets, the cheapest first.
    """

    run: str
    on_front: int
    expressed: int
    networks: tuple[Decisions, ...]

    @property
    def record(self) -> dict[str, Any]:
        """Plain data for ``search.yaml``."""
        return {"run": self.run, "networks": [dict(d) for d in self.networks]}

    @property
    def note(self) -> str:
        """Says in a sentence how many networks of the front are trained first, and why others are not."""
        left_out = [
            f"{self.on_front - self.expressed} not in this space" * (self.on_front > self.expressed),
            f"{self.expressed - len(self.networks)} not within the budget" * (self.expressed > len(self.networks)),
        ]
        why = ", ".join(filter(None, left_out))
        verb = "is" if len(self.networks) == 1 else "are"
        which = f"{len(self.networks)} of the {self.on_front} networks"
        if self.on_front == 1:
            which, verb = ("The only network", "is") if self.networks else ("The only network", "is not")
        return f"{which} on the front of {self.run} {verb} trained first{f' ({why})' if why else ''}."


def earlier_front(run: str, space: SearchSpace, budgets: Sequence[Budget]) -> Earlier:
    """Reads the front of an earlier run, of any format that this version can read.

    Args:
        run: name or folder of the earlier run.
        space: space of the new search.
        budgets: budgets of the new search.

    Raises:
        RunError: when there is no such run, or it cannot be read.
    """
    folder = find_run(run)
    line = _front_of(folder)
    found = [d for t in line if (d := expressed(space, t.architecture, t.decisions)) is not None and not space.forbids(d)]
    names = with_always([b.metric for b in budgets])
    fitting = tuple(d for d in found if within(priced(space, d, names).cost, budgets))
    return Earlier(folder.resolve().name, len(line), len(found), fitting)


def expressed(space: SearchSpace, network: Architecture, decisions: Decisions) -> dict[str, Setting] | None:
    """Finds the decisions of a space that yield a network, with the classes and channels of the space; None if there are none.

    Decisions that the network's original space shares keep their options. Each other decision takes the option with which the
    network is most similar.

    Args:
        space: space in which the network is expressed.
        network: the network to express.
        decisions: its decisions in its original space.
    """
    network = replace(network, input=(space.input[0], *network.input[1:]), classes=space.classes)
    wanted = set(_parts(network.to_dict()))
    chosen: dict[str, Setting] = {}

    def unlike(name: str, option: Setting) -> int:
        return len(wanted ^ set(_parts(space.architecture({**chosen, name: option}).to_dict())))

    def choose(name: str, options: tuple[Setting, ...]) -> Setting:
        told = decisions.get(name)
        chosen[name] = told if told in options else min(options, key=lambda option: unlike(name, option))
        return chosen[name]

    found = space.decide(choose)
    try:
        wanted_identity = identity(network)
    except UsageError:  # an operator or network of a plugin that this search does not use, so no network of the space has it
        return None
    return found if identity(space.architecture(found)) == wanted_identity else None


def _front_of(folder: Path) -> list[Trial]:
    with closing(Store(folder)) as store:
        trials = store.trials(curves=False, problems=[])
        bounds = store.meta("bounds") or {}
    try:
        config = read_yaml(folder / FILE).data
        budgets = [Budget(**b) for b in config["budgets"]]
        goals = goals_of(config, bounds)
    except (OSError, KeyError, TypeError, ValueError):
        raise RunError(f"{folder / FILE}: damaged, so the budgets of its front are not known. Restore it from a copy.") from None
    return pareto.front(trials, budgets, goals)


def _parts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yields every scalar of nested mappings and lists, with its path."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _parts(inner, f"{path}/{name}")
    elif isinstance(value, list | tuple):
        for position, inner in enumerate(value):
            yield from _parts(inner, f"{path}/{position}")
    else:
        yield path, repr(value)
