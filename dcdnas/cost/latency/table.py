"""A latency table: the time of each operator at each place on one device, and the correction for whole networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass, field, replace

from dcdnas.core.architecture import LayerChoice
from dcdnas.cost.latency.device import Device
from dcdnas.cost.latency.fit import Correction
from dcdnas.cost.latency.timing import Timing
from dcdnas.errors import FileError
from dcdnas.networks import Slot, unnamed

Place = tuple[Slot, LayerChoice]
"""A slot without its name, and a choice without its form: the key of a time."""


@dataclass(frozen=True, eq=False)
class LatencyTable:
    """The times of places on one device.

    Args:
        device: on which they were measured.
        slots: time of each place, measured alone.
        correction: from slots to networks.
        source: origin of the table, for messages.
        find: measures a place that is not in `slots`; None where that is impossible.
    """

    device: Device
    slots: MutableMapping[Place, Timing] = field(default_factory=dict)
    correction: Correction = field(default_factory=Correction)
    source: str = "the latency table"
    find: Callable[[Place], Timing] | None = None

    def timing(self, slot: Slot, choice: LayerChoice) -> Timing:
        """Returns the time of one slot alone.

        Raises:
            FileError: when the table has no time for the place.
        """
        place = place_of(slot, choice)
        found = self.slots.get(place)
        if found is None:
            if self.find is None:
                raise FileError(f"{self.source} ({self.device}) has no time for {said(place)}. {HOW_TO_FILL}")
            found = self.slots[place] = self.find(place)
        return found

    def nanoseconds(self, slot: Slot, choice: LayerChoice) -> int:
        """Returns what a slot adds to its network's latency, corrected; an integer, so that sums are exact."""
        return max(1, round(self.correction.of(self.timing(slot, choice).median)))

    def missing(self, places: Iterable[Place]) -> list[Place]:
        """Returns the places for which the table has no time."""
        return [place for place in places if place not in self.slots]


HOW_TO_FILL = (
    "Where its `value` is null, fill it in. Otherwise the table was made for another space, or an older one: measure again, on "
    "that device, with dcdnas latency measure SPACE -o FILE; or write the list of what is needed, to fill in, with "
    "dcdnas latency slots SPACE -o FILE."
)


def place_of(slot: Slot, choice: LayerChoice) -> Place:
    """Returns the key of a time; it has no form, because the feature map determines which form is executed."""
    return unnamed(slot), replace(choice, form="") if choice.form else choice


def said(place: Place) -> str:
    """Describes a place in words."""
    slot, choice = place
    g, what = slot.geometry, slot.kind if slot.kind != "conv" and choice.operator == "static" else choice
    where = f"{g.in_channels}->{g.out_channels}" if slot.kind == "linear" else str(g)
    return f"{what} at {where}{f' with {slot.activation}' if slot.activation else ''}{f', {slot.variant}' * bool(slot.variant)}"
