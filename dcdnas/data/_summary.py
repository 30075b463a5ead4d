"""Counts of the properties of a part's pictures, for the note that a search prints and for `dcdnas data check`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from dcdnas.data._picture import Depth, Facts
from dcdnas.errors import DataError

SHOWN = 50
"""Most damaged pictures that a message names."""


@dataclass
class Summary:
    """Counts of a part's pictures; stored with the decoded pictures.

    Args:
        count: number of all pictures, including damaged ones.
        modes: number of pictures by Pillow's mode.
        sizes: smallest and largest width, smallest and largest height.
        counts: number of pictures that were rotated (``turned``), may be ``transparent``, or have several ``frames``.
        depth: of the grey pictures with more than 8 bits: their largest value, 1 if there are floating-point ones, and 1 if this
            value itself becomes 255; empty when there are no such pictures.
        damaged: number of each picture that cannot be read, and the reason.
    """

    count: int = 0
    modes: dict[str, int] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    depth: list[float] = field(default_factory=list)
    damaged: list[tuple[int, str]] = field(default_factory=list)

    def add(self, found: Facts) -> None:
        """Adds a readable picture to the counts."""
        self.modes[found.mode] = self.modes.get(found.mode, 0) + 1
        size = [found.width, found.width, found.height, found.height]
        self.sizes = [f(a, b) for f, a, b in zip((min, max, min, max), self.sizes or size, size, strict=True)]
        for name, is_so in (("turned", found.turned), ("transparent", found.alpha), ("frames", found.frames > 1)):
            self.counts[name] = self.counts.get(name, 0) + is_so
        if found.depth:
            depth = found.depth.joined(self.of_depth or found.depth)
            self.depth = [depth.high, float(depth.floats)]

    @property
    def of_depth(self) -> Depth | None:
        """Range by which grey pictures with more than 8 bits are scaled; None when there are none."""
        return Depth(self.depth[0], *map(bool, self.depth[1:])) if self.depth else None

    def scale_by(self, depth: Depth | None) -> None:
        """Replaces the range of the grey pictures with more than 8 bits, if there are any; None leaves it as it is."""
        if depth and self.depth:
            self.depth = [depth.high, float(depth.floats), float(depth.exact)]

    @property
    def grey_range(self) -> float | None:
        """Value of these grey pictures that becomes 255; None when there are none."""
        return self.of_depth.most if self.of_depth else None

    def check(self, skip: float) -> None:
        """Raises DataError naming the damaged pictures when there are more than may be left out.

        Args:
            skip: a share of all pictures below 1, else a number of them.
        """
        allowed = tolerated(skip, self.count)
        if len(self.damaged) <= allowed:
            return
        lines = [reason for _, reason in self.damaged[:SHOWN]]
        if len(self.damaged) > SHOWN:
            lines.append(f"and {len(self.damaged) - SHOWN:,} more.")
        if len(self.damaged) > 1 or skip:
            bound = f"{allowed:,} may be left out" if skip else "`--skip-damaged 1%` leaves out up to that share, with a note"
            lines.append(f"{len(self.damaged):,} of {self.count:,} pictures cannot be read; {bound}.")
        raise DataError("\n".join(lines))

    def notes(self) -> tuple[str, ...]:
        """Notes about the pictures for the user, one phrase each."""
        few = Counter(self.modes).most_common()
        low_w, high_w, low_h, high_h = self.sizes or [0] * 4
        same = (low_w, low_h) == (high_w, high_h)
        size = f"of {low_w}x{low_h}" if same else f"from {low_w} to {high_w} pixels wide and {low_h} to {high_h} high"
        said = [f"{sum(self.modes.values()):,} pictures {size}: {', '.join(f'{n:,} {mode}' for mode, n in few)}"]
        for name, phrase in (
            ("turned", "turned upright by their EXIF tag"),
            ("transparent", "with transparency, laid on white (light ones on black)"),
            ("frames", "of several frames, of which the first is read"),
        ):
            if self.counts.get(name):
                said.append(f"{self.counts[name]:,} {phrase}")
        if self.grey_range:
            said.append(f"grey of more than 8 bits: 0 to {self.grey_range:g} is read as 0 to 255")
        if any("16 bits" in mode for mode in self.modes):
            said.append("of 16-bit colours only the upper 8 bits are read")
        if self.damaged:
            said.append(f"{len(self.damaged):,} damaged left out: {', '.join(r.partition(':')[0] for _, r in self.damaged[:3])}")
        return tuple(said)

    def written(self) -> str:
        """Returns the summary as JSON."""
        return json.dumps(asdict(self))


def tolerated(skip: float, count: int) -> int:
    """Returns how many of `count` pictures may be damaged, for a share below 1 or a number.

    A share is rounded down to whole pictures. It is first freed of its rounding error, because 0.7 % of 1000 is a little less
    than 7 in floating-point numbers.
    """
    return int(round(skip * count, 6)) if skip < 1 else int(skip)


def read_summary(text: str) -> Summary:
    """Reads a summary that `Summary.written` returned.

    Raises:
        ValueError: when the text is not such a summary.
    """
    try:
        found: dict[str, Any] = json.loads(text)
        return Summary(**{**found, "damaged": [(int(i), str(r)) for i, r in found["damaged"]]})
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(str(error)) from None


def left_out(counts: Counter[str], more: Sequence[str] = ()) -> tuple[str, ...]:
    """A phrase about files that are not pictures: ``left out: 3 .heic, 1 .txt``; none when there are no such files."""
    parts = [f"{count:,} {suffix or 'without a suffix'}" for suffix, count in counts.most_common()]
    return (f"left out: {', '.join([*parts, *more])}",) if parts or more else ()
