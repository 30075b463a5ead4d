"""The parts of a search space: decisions, the backbone's variables, groups of slots, forbidden combinations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING

from dcdnas.core.dimension import Choice, Dimension, Scope
from dcdnas.core.geometry import ConvGeometry, Setting

if TYPE_CHECKING:
    from dcdnas.networks import Slot

Decisions = Mapping[str, Setting]
"""An outcome: the chosen option of each decision, by the name of the decision."""

Settings = tuple[tuple[str, Setting], ...]
"""An operator's settings as (name, value) pairs, which are hashable."""


GUIDE = Dimension("guide", (str,), Choice(words=("own", "shared")), "own")
"""Extra setting that a space file may give to operators whose guide the layers of a block can share."""


SHARE = Dimension("share", (str,), Choice(words=("layer", "block", "stage", "network")), "layer")
"""Extra setting that a space file may give to operators whose layers can share weights: the scope in which they share."""


@dataclass(frozen=True)
class Decision:
    """One dimension as a sampler sees it.

    Args:
        name: unique in the space, e.g. ``stage3.expand.operator``.
        options: the allowed values; scalars only.
        parent: the decision it depends on; ``""`` for none.
        when: the parent's options under which this decision exists.
    """

    name: str
    options: tuple[Setting, ...]
    parent: str = ""
    when: tuple[Setting, ...] = ()


@dataclass(frozen=True)
class Variable:
    """A network setting of one stage or block (or of the whole network), searched or fixed.

    Args:
        setting: name of the network's keyword, or ``resolution``.
        unit: ``""``, ``stage2`` or ``stage2.block1``.
        decision: name of the decision that determines it, which units may share; ``""`` when fixed.
        options: its possible values; one when fixed.
    """

    setting: str
    unit: str
    decision: str
    options: tuple[Setting, ...]


@dataclass(frozen=True)
class Candidate:
    """An operator that a group may take, and the options of its settings."""

    operator: str
    settings: tuple[tuple[str, tuple[Setting, ...]], ...] = ()


@dataclass(frozen=True)
class Group:
    """Slots that share one choice of operator and settings.

    Args:
        name: prefix of its decisions.
        slots: names of all slots that may belong to it.
        candidates: the operators to choose from.
    """

    name: str
    slots: tuple[str, ...]
    candidates: tuple[Candidate, ...]

    @cached_property
    def operator(self) -> str:
        """Name of the decision on the operator."""
        return f"{self.name}.operator"

    def setting(self, operator: str, setting: str) -> str:
        """Name of the decision on a setting of one of its operators."""
        return f"{self.name}.{operator}.{setting}"

    @cached_property
    def shares_guides(self) -> bool:
        """Whether one of its choices makes the layers of a block share a guide."""
        return any(name == GUIDE.name and "shared" in options for c in self.candidates for name, options in c.settings)

    @cached_property
    def shares_weights(self) -> bool:
        """Whether one of its choices makes layers share weights, so that the cost of a layer depends on other layers."""
        return any(
            name == SHARE.name and set(options) != {SHARE.default} for c in self.candidates for name, options in c.settings
        )

    @cached_property
    def outcomes(self) -> tuple[dict[str, Setting], ...]:
        """Every operator with every combination of its settings, as decisions."""
        found: list[dict[str, Setting]] = []
        for c in self.candidates:
            names = [self.setting(c.operator, s) for s, _ in c.settings]
            values = product(*(options for _, options in c.settings))
            found += [{self.operator: c.operator, **dict(zip(names, v, strict=True))} for v in values]
        return tuple(found)

    def choose(self, decisions: Decisions) -> tuple[str, Settings]:
        """Returns the operator and settings that the decisions assign to this group."""
        operator = decisions.get(self.operator, self.candidates[0].operator)
        return str(operator), tuple([(s, decisions.get(d, first)) for s, d, first in self._settings[operator]])

    @cached_property
    def _settings(self) -> dict[Setting, list[tuple[str, str, Setting]]]:
        return {c.operator: [(s, self.setting(c.operator, s), o[0]) for s, o in c.settings] for c in self.candidates}


@dataclass(frozen=True)
class Site:
    """A place in a network whose operator is chosen.

    Args:
        slot: without its name.
        leader: geometry of the layer whose guide this one uses when its group's choice says ``guide: shared``: the first layer
            of its block, if that is in the same group. None where the layer computes its own guide.
    """

    slot: Slot
    leader: ConvGeometry | None = None


@dataclass(frozen=True)
class Rule:
    """A forbidden combination of options.

    Args:
        text: of the rule in the space file.
        conditions: pairs (decisions, values); the rule holds when, for every pair, one of the decisions has one of the values.
    """

    text: str
    conditions: tuple[tuple[tuple[str, ...], tuple[Setting, ...]], ...]

    def holds(self, decisions: Decisions) -> bool:
        """Whether the decisions contain the forbidden combination."""
        return all(any(n in decisions and decisions[n] in values for n in names) for names, values in self.conditions)


def rank(option: Setting) -> float:
    """Sort key of an option: the value of a number, 0 for words, so that a stable sort keeps their written order."""
    return 0.0 if isinstance(option, str) else float(option)


def share_key(name: str, share: Scope) -> str:
    """Key that is equal for slots or blocks that share a choice: empty for the network, else stage, block or the name itself."""
    stage, _, rest = name.partition(".")
    block = f"{stage}.{rest.partition('.')[0]}" if rest else stage
    return {"network": "", "stage": stage, "block": block, "layer": name}[share]
