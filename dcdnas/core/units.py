"""Numbers as text and text as numbers, the same in the terminal, the report and the messages.

How the values of a cost metric are named, written and read is its `Notation`, which the metric's own file states
(`dcdnas.cost`) and every run keeps. This module knows the notations that were `register`\\ ed and no metric by name.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from dcdnas.core.architecture import Architecture
from dcdnas.core.geometry import Cost
from dcdnas.core.objective import Objective
from dcdnas.core.trial import Trial

NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d*)?|\d+(?:_\d+)*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
"""Pattern of a number as a person writes it."""

UNIT = r"[A-Za-z\u00b5\u03bc ]*"
"""Pattern of the unit behind it."""

PREFIXES: Mapping[str, float] = MappingProxyType({"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12})
"""Of counts, where case does not matter: ``m`` is a million and ``b`` a billion."""


@dataclass(frozen=True)
class Scale:
    """A ladder of units, and what else may be written for them.

    Args:
        steps: (size in the base unit, symbol), from the largest on.
        spelled: further spellings with their sizes; the empty one lets a number stand alone after the metric's name.
        prefixed: words that follow a prefix of `PREFIXES`, and may be left out after the metric's name.
        cased: whether upper and lower case tell units apart, as in mJ and MJ.
        telling: whether a unit says what it is of: ``3 MFLOPs`` does, ``3 KiB`` of weights does not.
        digits: whether tables of layers write whole values digit by digit, ``1,234,567`` instead of ``1.23 M``.
    """

    steps: tuple[tuple[float, str], ...]
    spelled: Mapping[str, float] = field(default_factory=dict)
    prefixed: tuple[str, ...] = ()
    cased: bool = False
    telling: bool = False
    digits: bool = False

    def size(self, unit: str, named: bool) -> float | None:
        """A unit in the base unit; None when it is none of these.

        Args:
            unit: as a person wrote it, without spaces.
            named: whether the metric's name was written, too.
        """
        known = {symbol: size for size, symbol in self.steps} | dict(self.spelled)
        if not self.cased:
            unit, known = unit.lower(), {spelling.lower(): size for spelling, size in known.items()}
        if unit in known and (unit or named):
            return known[unit]
        for word in sorted(self.prefixed, key=len, reverse=True):
            if unit.endswith(word) and unit[: -len(word)] in PREFIXES:
                return PREFIXES[unit[: -len(word)]]
        return PREFIXES.get(unit) if named and self.prefixed else None

    def write(self, value: float, digits: int = 3) -> str:
        """A value with its unit, to so many significant digits."""
        # rounding comes first, so that 999,999 is 1 M and not 1000 k
        rounded = float(f"{value:.{digits - 1}e}")
        size, unit = next((step for step in self.steps if rounded >= step[0]), self.steps[-1])
        return f"{_significant(value / size, digits)} {unit}".rstrip()


def counts(word: str, *words: str, **spelled: float) -> Scale:
    """Of things that are counted one by one: ``300 MFLOPs`` for the word ``FLOPs``.

    Args:
        word: behind the prefix, as it is written.
        words: behind the prefix, as it may be read, in lower case.
        spelled: whole units that are read otherwise than prefix by prefix.
    """
    steps = tuple((size, f"{prefix}{word}") for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")))
    return Scale(steps, spelled, words or (word.lower(),), telling=True, digits=True)


def plain(unit: str = "") -> Scale:
    """Of one unit, without any prefix."""
    return Scale(((1.0, unit),), {"": 1.0}, cased=True, telling=bool(unit))


BYTES = Scale(
    ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B")),
    {"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12},
    digits=True,
)
"""Bytes, in binary steps; read in decimal ones, too."""

TIMES = Scale(
    ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns")), {"sec": 1e9, "\u00b5s": 1e3, "\u03bcs": 1e3}, cased=True
)  # fmt: skip
"""Times, in nanoseconds."""


@dataclass(frozen=True)
class Notation:
    """How the values of a cost metric are named, written and read.

    Args:
        metric: its name, as in YAML.
        label: heading of its values, like ``Parameters``.
        scale: its units.
        number: ``int`` for what is whole and adds up exactly, else ``float``.
        words: other names that a budget may call it by, in lower case.
        axis: title of an axis of its values; the label when empty.
        short: heading where there is little room; the label when empty.
        implied: whether a unit without a name means this metric; False where another metric has the same units.
    """

    metric: str
    label: str
    scale: Scale
    number: Literal["int", "float"] = "int"
    words: tuple[str, ...] = ()
    axis: str = ""
    short: str = ""
    implied: bool = True

    @property
    def least(self) -> float:
        """What nothing at all counts as on a logarithmic scale: one of what is whole, else a trillionth of the base unit."""
        return 1.0 if self.number == "int" else 1e-12

    @property
    def base(self) -> str:
        """Symbol of the base unit; empty where it has none."""
        return next((symbol for size, symbol in self.scale.steps if size == 1.0), "")

    def value(self, value: float) -> float:
        """A value as the metric's type of number."""
        return int(value) if self.number == "int" else float(value)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for YAML, without the metric's name."""
        s = self.scale
        return {
            "label": self.label, "axis": self.axis, "short": self.short, "number": self.number, "words": list(self.words),
            "implied": self.implied,
            "scale": {
                "steps": {symbol: size for size, symbol in s.steps}, "spelled": dict(s.spelled), "prefixed": list(s.prefixed),
                "cased": s.cased, "telling": s.telling, "digits": s.digits,
            },
        }  # fmt: skip

    @staticmethod
    def from_dict(metric: str, data: Mapping[str, Any]) -> Notation:
        """As `to_dict` made it.

        Raises:
            ValueError: when it is no such data; likewise KeyError, TypeError and AttributeError.
        """
        scale = dict(data["scale"])
        steps = tuple((float(size), str(symbol)) for symbol, size in scale.pop("steps").items())
        if not steps or any(size <= 0 for size, _ in steps) or data["number"] not in ("int", "float"):
            raise ValueError(f"no notation of {metric}")
        spelled = {str(spelling): float(size) for spelling, size in scale.pop("spelled").items()}
        made = Scale(steps, spelled, tuple(scale.pop("prefixed")), **scale)
        return Notation(metric, **{**data, "scale": made, "words": tuple(data["words"])})


Notations = Mapping[str, Notation]
"""By the metric's name."""

ALWAYS = ("flops", "params")
"""The metrics that every price has."""

_KNOWN: dict[str, Notation] = {}


def register(notation: Notation) -> None:
    """Has a metric's values written in its own notation from now on, in this process."""
    _KNOWN[notation.metric] = notation


def register_read(recorded: Mapping[str, Any]) -> Notations:
    """The notations that a run recorded (metric to `Notation.to_dict`); registers those that nobody has registered.

    Raises:
        ValueError: when they are damaged; likewise KeyError, TypeError and AttributeError.
    """
    found = {str(metric): Notation.from_dict(str(metric), data) for metric, data in recorded.items()}
    for metric, notation in found.items():
        _KNOWN.setdefault(metric, notation)
    return found


def notation(metric: str) -> Notation:
    """Of a metric; a plain number with its name where nobody has registered one."""
    return _KNOWN.get(metric) or Notation(metric, metric.replace("-", " ").capitalize(), plain(metric), "float")


def quantity(metric: str, value: float, digits: int = 3) -> str:
    """A value with its unit as a person reads it: ``300 MFLOPs``, ``2.31 Mparams``, ``4.1 ms``, ``3.2 MiB``."""
    return notation(metric).scale.write(value, digits)


def cell(metric: str, value: float) -> str:
    """A value in a table of layers: every digit of what is counted, ``1,234,567``; else as `quantity`."""
    known = notation(metric)
    return f"{value:,.0f}" if known.scale.digits and known.number == "int" else quantity(metric, value)


def units(metric: str) -> tuple[tuple[float, str], ...]:
    """What values of a metric are divided by, and what they are called then; from the largest unit on."""
    return notation(metric).scale.steps


def read_number(text: str, size: float = 1.0) -> float:
    """A number that `NUMBER` matches, times its unit.

    Without the last digits' binary noise: 2.3M is 2,300,000 and not 2,299,999.9999999995.
    """
    return float(f"{float(text.replace(',', '').replace('_', '')) * size:.15g}")


def _significant(value: float, digits: int) -> str:
    if value == int(value) or abs(value) >= 10**digits:
        return f"{value:.0f}"
    rounded = float(f"{value:.{digits - 1}e}")
    if abs(rounded) < 1e-4:
        return f"{rounded:.{digits - 1}e}"
    before = math.floor(math.log10(abs(rounded))) + 1
    return f"{rounded:.{max(0, digits - before)}f}"


def percent(share: float | None, digits: int = 1) -> str:
    """A share of 1 as ``71.3 %``; a dash for none."""
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def small_share(share: float) -> str:
    """A share that may be tiny, with two digits: ``12 %``, ``0.35 %``, ``less than 0.01 %``."""
    if 0 < share < 1e-4:
        return "less than 0.01 %"
    digits = 0 if share >= 0.1 or not share else 1 if share >= 0.01 else 2
    return percent(share, digits)


def large(number: int) -> str:
    """A count that may be huge: ``48,600``, ``1.2 × 10¹⁷``."""
    if number < 10**6:
        return f"{number:,}"
    mantissa, power = f"{number:.1e}".split("e+")
    return f"{mantissa} × 10{power.lstrip('0').translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def counted(number: float, thing: str) -> str:
    """``1 epoch``, ``3 epochs``."""
    return f"{number:g} {thing}{'' if number == 1 else 's'}"


def outputs(number: int, own_task: str = "", head: str = "") -> str:
    """Of a network: ``10 classes``, with a head that scores pixels ``10 classes at each pixel``; ``3 outputs`` of another task.

    Args:
        number: of outputs.
        own_task: of somebody's own, which says what they are.
        head: in place of the backbone's own classifier.
    """
    said = counted(number, "output") if own_task or number == 1 else f"{number:,} classes"
    return f"{said} at each pixel" if head else said


def metric_name(metric: str, short: bool = False) -> str:
    """A cost metric as a heading."""
    known = notation(metric)
    return known.short or known.label if short else known.label


def axis_name(metric: str) -> str:
    """A cost metric as the title of an axis, to which `axis_units` adds the unit."""
    known = notation(metric)
    return known.axis or known.label


def axis_units(metric: str) -> tuple[tuple[float, str], ...]:
    """What the marks of an axis may be divided by, from the largest on, and how its title ends: ``, millions``, ``, KiB``."""
    known = notation(metric)
    words = {"k": ", thousands", "M": ", millions", "G": ", billions", "T": ", trillions", "": ""}
    found = []
    for size, symbol in known.scale.steps:
        prefix = symbol.removesuffix(known.base) if known.scale.telling else symbol
        found.append((size, words[prefix] if known.scale.telling and prefix in words else f", {symbol}" if symbol else ""))
    return tuple(found)


def roughly(seconds: float) -> str:
    """An estimate: ``about 35 min``."""
    for unit, name in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 1.5 * unit:
            return (
                f"about {seconds / unit:.1f} {name}"
                if seconds < 10 * unit and unit > 60
                else f"about {seconds / unit:.0f} {name}"
            )
    return f"about {max(1, round(seconds))} s"


def duration(seconds: float) -> str:
    """``41 s``, ``3 min 20 s``, ``2 h 05 min``, ``3 d 4 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if seconds >= 9.95 else f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def costs(cost: Cost) -> str:
    """All metrics of a cost: ``1.43 MFLOPs, 124 kparams, 14.5 KiB of weights``; bytes and times say of what."""
    return ", ".join(amount(metric, value) for metric, value in cost.values.items())


def amount(metric: str, value: float) -> str:
    """One of them: ``1.43 MFLOPs``, ``14.5 KiB of weights``."""
    known = notation(metric)
    return f"{quantity(metric, value)}{'' if known.scale.telling else f' of {known.label.lower()}'}"


def tally(
    counts: dict[str, int],
    states: tuple[str, ...] = ("finished", "stopped", "failed", "refused", "replayed", "interrupted", "running"),
) -> str:
    """Trials by state: ``12 finished · 2 stopped early · 140 refused``."""
    said = {"stopped": "stopped early"}
    return " · ".join(f"{counts[s]:,} {said.get(s, s)}" for s in states if counts.get(s)) or "none yet"


def operator_mix(architecture: Architecture) -> dict[str, int]:
    """Operator -> number of layers that it fills, the most used first. Places that no space opens are not counted."""
    return dict(Counter(architecture.operators.values()).most_common())


def mix(architecture: Architecture) -> str:
    """``22 dcd, 4 static``; what a network is made of, in a few words."""
    return said_mix(operator_mix(architecture))


def said_mix(used: Mapping[str, int]) -> str:
    """The same of what `operator_mix` has counted."""
    return ", ".join(f"{n} {name}" for name, n in used.items()) or "static"


def ending(trial: Trial, objective: Objective) -> str:
    """How a trial came out, in a few words: the objective's value, or why there is none."""
    reached = objective.named(objective.of(trial.score))
    if trial.state == "stopped" and trial.score:
        return f"stopped early at {reached} after epoch {trial.score.epochs}"
    if trial.state == "finished" and trial.score:
        return reached
    return f"{trial.state}: {trial.reason}" if trial.reason else trial.state
