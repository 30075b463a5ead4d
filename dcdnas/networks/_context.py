"""The context at the end of a stage, set by the backbones' settings `hamburger_*`, with one value per stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from dcdnas.core.dimension import Choice
from dcdnas.core.geometry import ConvGeometry
from dcdnas.core.slot import Slot
from dcdnas.errors import GeometryError
from dcdnas.networks._base import Network, Places
from dcdnas.networks._decoder import maps_of
from dcdnas.networks._hamburger import DECOMPOSITIONS, STEPS


class WithContext(Network):
    """A backbone whose stages may end in a `Hamburger`.

    Args:
        places: the slots and the operator of each.
        hamburger_rank: R, the rank of the factorisation of each stage's last map; 0 for no context.
        hamburger_steps: K, the steps of each stage's factorisation.
        hamburger_decomposition: of each stage: non-negative factors, vector quantisation or concepts.
    """

    def __init__(
        self,
        places: Places,
        *,
        hamburger_rank: Annotated[Any, int, Choice(at_least=0, at_most=512, per="stage")] = 0,
        hamburger_steps: Annotated[Any, int, Choice(at_least=1, at_most=STEPS, per="stage")] = 6,
        hamburger_decomposition: Annotated[Any, str, Choice(words=tuple(DECOMPOSITIONS), per="stage")] = "nmf",
    ) -> None:
        super().__init__(places)

    def add_contexts(self, places: Places) -> None:
        """Adds a context after the last block of each stage that has one, as module ``stage3.context``."""
        for stage in self.stages:
            if f"{stage}.context" in places:
                self.get_submodule(stage).add_module("context", places.fill(f"{stage}.context"))


def with_contexts(slots: Sequence[Slot], s: Mapping[str, Any]) -> tuple[Slot, ...]:
    """Inserts the slot of a context after each stage that has one into a backbone's slots.

    Args:
        slots: in the order of computation.
        s: complete settings.

    Raises:
        GeometryError: when a stage's map has fewer pixels or channels than the rank: its factorisation would leave nothing out.
    """
    if not any(s["hamburger_rank"]):
        return tuple(slots)
    found = list(slots)
    for number, rank in reversed([*enumerate(s["hamburger_rank"], 1)]):
        if rank:
            (level,) = maps_of(slots, [number])
            kind = s["hamburger_decomposition"][number - 1], s["hamburger_steps"][number - 1]
            _check(level.stage, rank, level.channels, level.height, level.width)
            place = ConvGeometry(level.channels, rank, height=level.height, width=level.width)
            last = max(i for i, slot in enumerate(slots) if slot.stage == level.stage)
            found.insert(last + 1, Slot(f"{level.stage}.context", place, "hamburger", variant="-".join(map(str, kind))))
    return tuple(found)


def _check(stage: str, rank: int, channels: int, height: int, width: int) -> None:
    if rank > min(channels, height * width):
        raise GeometryError(
            f"{stage}.context: a hamburger of rank {rank} leaves nothing out of a map of {channels} channels and "
            f"{height}x{width} pixels. Allowed: ranks up to {min(channels, height * width)}, or 0 for no context. Give a smaller "
            "rank, another stage or larger images."
        )
