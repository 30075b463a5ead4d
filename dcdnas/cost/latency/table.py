"""A latency table: what each operator takes at each place of a network on one device, and how that makes a network's time."""

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
"""A slot without its name, and a choice without its form: what a time belongs to."""


@dataclass(frozen=True, eq=False)
class LatencyTable:
    """Times on one device.

    Args:
        device: that they were measured on.
        slots: time of each place alone.
        correction: from slots to networks.
        source: where it comes from, for messages.
        find: measures places that are not in `slots`; None where that cannot be done.
    """

    device: Device
    slots: MutableMapping[Place, Timing] = field(default_factory=dict)
    correction: Correction = field(default_factory=Correction)
    source: str = "the latency table"
    find: Callable[[Place], Timing] | None = None

    def timing(self, slot: Slot, choice: LayerChoice) -> Timing:
        """Of one slot alone.

        Raises:
            FileError: when the table does not know the place.
        """
        place = place_of(slot, choice)
        found = self.slots.get(place)
        if found is None:
            if self.find is None:
                raise FileError(f"{self.source} ({self.device}) has no time for {said(place)}. {HOW_TO_FILL}")
            found = self.slots[place] = self.find(place)
        return found

    def nanoseconds(self, slot: Slot, choice: LayerChoice) -> int:
        """What a slot adds to its network's latency, corrected; a whole number, so that sums are exact."""
        return max(1, round(self.correction.of(self.timing(slot, choice).median)))

    def missing(self, places: Iterable[Place]) -> list[Place]:
        """Those that the table does not know."""
        return [place for place in places if place not in self.slots]


HOW_TO_FILL = (
    "It was made for another space, or an older one. Measure again, on that device: dcdnas latency measure SPACE -o FILE; or "
    "write the list of what is needed, to fill in: dcdnas latency slots SPACE -o FILE."
)


def place_of(slot: Slot, choice: LayerChoice) -> Place:
    """What a time belongs to: the form is left out, since the executed one is decided by the map."""
    return unnamed(slot), replace(choice, form="") if choice.form else choice


def said(place: Place) -> str:
    """A place in words."""
    slot, choice = place
    g, what = slot.geometry, slot.kind if slot.kind != "conv" and choice.operator == "static" else choice
    where = f"{g.in_channels}->{g.out_channels}" if slot.kind == "linear" else str(g)
    return f"{what} at {where}{f' with {slot.activation}' if slot.activation else ''}{f', {slot.variant}' * bool(slot.variant)}"
