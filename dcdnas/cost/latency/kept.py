"""Disk cache of times measured on this machine, reused by later runs; one file for each device and way of using it.

The file's name also contains a digest of the sources that are measured, so that no time of older code is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import astuple

from dcdnas.core.architecture import Architecture
from dcdnas.core.cache import Records
from dcdnas.cost._kept import CODE, outside
from dcdnas.cost.latency.device import Device
from dcdnas.cost.latency.row import row_of
from dcdnas.cost.latency.table import Place
from dcdnas.cost.latency.timing import Timing
from dcdnas.networks import identity

Timed = Place | Architecture | str
"""What a time belongs to; a string must name all that the time depends on besides the device and the package's code."""


class KeptTimes:
    """The known times of a device: those of places, of whole networks, and of anything else for which a caller has a key.

    Args:
        device: of this machine.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        digest = hashlib.sha256(json.dumps([*astuple(device), CODE]).encode()).hexdigest()[:16]
        self._records = Records(f"latency-{digest}")
        self._known = _read(self._records)

    def get(self, item: Timed) -> Timing | None:
        """Returns the time of an item; None when it was not measured yet."""
        return self._known.get(_key(item))

    def put(self, times: Iterable[tuple[Timed, Timing]]) -> None:
        """Stores measured times, in place of earlier ones."""
        for item, timing in times:
            self._known[_key(item)] = timing
            if not isinstance(item, tuple) or outside(item[1].operator) is not None:
                self._records.append(_key(item), [timing.median, timing.iqr])


def _key(item: Timed) -> str:
    if isinstance(item, str):
        return item
    if isinstance(item, Architecture):
        used = sorted({choice.operator for choice in item.layers.values()})
        return json.dumps(["network", identity(item), *filter(None, map(outside, used))])
    return json.dumps([row_of(item), outside(item[1].operator)])


def _read(records: Records) -> dict[str, Timing]:
    return {key: Timing(*value) for key, value in records.read().items() if isinstance(value, list) and len(value) == 2}
