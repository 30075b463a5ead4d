"""Converts numbers to text and text to numbers, in the same way for the terminal, the report and messages.

The `Notation` of a cost metric says how its values are named, written and read. The metric's own file (`dcdnas.cost`) states it
and every run records it. This module knows no metric by name, only the notations that were registered with `register`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal

from dcdnas.core.architecture import Architecture
from dcdnas.core.geometry import Cost
from dcdnas.core.objective import Objective
from dcdnas.core.trial import Trial

NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d*)?|\d+(?:_\d+)*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
"""Pattern of a number as a person writes it."""

UNIT = r"[A-Za-z\u00b5\u03bc ]*"
"""Pattern of the unit behind a number."""

PREFIXES: Mapping[str, float] = MappingProxyType({"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12})
"""Prefixes of counts, whose case does not matter: ``m`` is a million and ``b`` a billion."""


@dataclass(frozen=True)
class Scale:
    """The units of a quantity and their accepted spellings.

    Args:
        steps: (size in the base unit, symbol) of each unit, the largest first.
        spelled: sizes of further spellings; the empty spelling allows a number without a unit after the metric's name.
        prefixed: words that follow a prefix of `PREFIXES`; they may be omitted after the metric's name.
        cased: whether case distinguishes units, as in mJ and MJ.
        telling: whether a unit implies its quantity: ``3 MFLOPs`` does, ``3 KiB`` (of weights) does not.
        digits: whether tables of layers write whole values with all digits, ``1,234,567`` instead of ``1.23 M``.
    """

    steps: tuple[tuple[float, str], ...]
    spelled: Mapping[str, float] = field(default_factory=dict)
    prefixed: tuple[str, ...] = ()
    cased: bool = False
    telling: bool = False
    digits: bool = False

    def size(self, unit: str, named: bool) -> float | None:
        """Size of a unit in the base unit; None when the scale does not have it.

        Args:
            unit: the unit as a person wrote it, without spaces.
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
        """Writes a value with its unit, to `digits` significant digits."""
        # the value is rounded before the unit is chosen, so that 999,999 is 1 M and not 1000 k
        rounded = float(f"{value:.{digits - 1}e}")
        size, unit = next((step for step in self.steps if rounded >= step[0]), self.steps[-1])
        return f"{_significant(value / size, digits)} {unit}".rstrip()


def counts(word: str, *words: str, **spelled: float) -> Scale:
    """Makes the scale of a count: ``300 MFLOPs`` for the word ``FLOPs``.

    Args:
        word: the word behind the prefix as it is written.
        words: the words that are accepted behind the prefix, in lower case; `word` itself when none is given.
        spelled: complete units that are not read as prefix and word, with their sizes.
    """
    steps = tuple((size, f"{prefix}{word}") for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")))
    return Scale(steps, spelled, words or (word.lower(),), telling=True, digits=True)


def plain(unit: str = "") -> Scale:
    """Makes a scale of a single unit without prefixes."""
    return Scale(((1.0, unit),), {"": 1.0}, cased=True, telling=bool(unit))


BYTES = Scale(
    ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B")),
    {"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12},
    digits=True,
)
"""Bytes, written in binary units; decimal units are read, too."""

TIMES = Scale(
    ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns")), {"sec": 1e9, "\u00b5s": 1e3, "\u03bcs": 1e3}, cased=True
)  # fmt: skip
"""Times, in nanoseconds."""


@dataclass(frozen=True)
class Notation:
    """How the values of a cost metric are named, written and read.

    Args:
        metric: name of the metric, as in YAML.
        label: heading of its values, like ``Parameters``.
        scale: its units.
        number: ``int`` for whole values that add up exactly, else ``float``.
        words: other names that a budget may use for it, in lower case.
        axis: title of an axis of its values; the label when empty.
        short: heading for narrow columns; the label when empty.
        implied: whether a unit without a metric's name means this metric; False where another metric has the same units.
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
        """The value that replaces 0 on a logarithmic scale: 1 for whole values, else 1e-12 of the base unit."""
        return 1.0 if self.number == "int" else 1e-12

    @property
    def base(self) -> str:
        """Symbol of the base unit; empty where the unit has none."""
        return next((symbol for size, symbol in self.scale.steps if size == 1.0), "")

    def value(self, value: float) -> float:
        """Converts a value to the metric's number type."""
        return int(value) if self.number == "int" else float(value)

    def to_dict(self) -> dict[str, Any]:
        """Converts the notation to plain data for YAML, without the metric's name."""
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
        """Reads a notation from the data that `to_dict` made.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: when the data have another form.
        """
        scale = dict(data["scale"])
        steps = tuple((float(size), str(symbol)) for symbol, size in scale.pop("steps").items())
        if not steps or any(size <= 0 for size, _ in steps) or data["number"] not in ("int", "float"):
            raise ValueError(f"no notation of {metric}")
        spelled = {str(spelling): float(size) for spelling, size in scale.pop("spelled").items()}
        made = Scale(steps, spelled, tuple(scale.pop("prefixed")), **scale)
        return Notation(metric, **{**data, "scale": made, "words": tuple(data["words"])})


Notations = Mapping[str, Notation]
"""Notations by the metric's name."""

ALWAYS = ("flops", "params")
"""The metrics that are part of every price."""

_KNOWN: dict[str, Notation] = {}


def register(notation: Notation) -> None:
    """Registers a notation: from now on, this process writes and reads the metric's values with it."""
    _KNOWN[notation.metric] = notation


def register_read(recorded: Mapping[str, Any]) -> Notations:
    """Reads the notations that a run recorded (metric to `Notation.to_dict`) and registers those that are not registered yet.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: when the record is damaged.
    """
    found = {str(metric): Notation.from_dict(str(metric), data) for metric, data in recorded.items()}
    for metric, notation in found.items():
        _KNOWN.setdefault(metric, notation)
    return found


def notation(metric: str) -> Notation:
    """Notation of a metric; where none is registered, plain numbers under the metric's name."""
    return _KNOWN.get(metric) or Notation(metric, metric.replace("-", " ").capitalize(), plain(metric), "float")


def quantity(metric: str, value: float, digits: int = 3) -> str:
    """Writes a value with its unit, human-readable: ``300 MFLOPs``, ``2.31 Mparams``, ``4.1 ms``, ``3.2 MiB``."""
    return notation(metric).scale.write(value, digits)


def cell(metric: str, value: float) -> str:
    """Writes a value for a table of layers: counts with all digits, ``1,234,567``; others as `quantity` does."""
    known = notation(metric)
    return f"{value:,.0f}" if known.scale.digits and known.number == "int" else quantity(metric, value)


def units(metric: str) -> tuple[tuple[float, str], ...]:
    """Units of a metric as (size in the base unit, symbol), the largest first."""
    return notation(metric).scale.steps


def read_number(text: str, size: float = 1.0) -> float:
    """Converts text that `NUMBER` matches to a number, multiplied by the size of its unit.

    The result is rounded to 15 significant digits to remove binary noise: 2.3M is 2,300,000 and not 2,299,999.9999999995.
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
    """Writes a share of 1 as ``71.3 %``; None as a dash."""
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def small_share(share: float) -> str:
    """Writes a share that may be tiny, with two digits: ``12 %``, ``0.35 %``, ``less than 0.01 %``."""
    if 0 < share < 1e-4:
        return "less than 0.01 %"
    digits = 0 if share >= 0.1 or not share else 1 if share >= 0.01 else 2
    return percent(share, digits)


def large(number: int) -> str:
    """Writes a count that may be huge: ``48,600``, ``1.2 × 10¹⁷``."""
    if number < 10**6:
        return f"{number:,}"
    mantissa, power = scientific(number).split("e")
    return f"{mantissa} × 10{power.lstrip('0').translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def scientific(number: int) -> str:
    """Writes a whole number of 1 or more, of any size, in scientific notation: ``1.2e17``."""
    return f"{number if number < 10**300 else Decimal(number):.1e}".replace("e+", "e")


def counted(number: float, thing: str) -> str:
    """Writes a number with its noun in singular or plural: ``1 epoch``, ``3 epochs``."""
    return f"{number:g} {thing}{'' if number == 1 else 's'}"


def outputs(number: int, own_task: str = "", head: str = "") -> str:
    """Describes a network's outputs: ``10 classes``, with a head ``10 classes at each pixel``, for a user's task ``3 outputs``.

    Args:
        number: number of outputs.
        own_task: name of the user's own task, which defines what the outputs mean; empty for classification.
        head: name of the head that replaces the backbone's own classifier.
    """
    said = counted(number, "output") if own_task or number == 1 else f"{number:,} classes"
    return f"{said} at each pixel" if head else said


def metric_name(metric: str, short: bool = False) -> str:
    """Heading of a cost metric."""
    known = notation(metric)
    return known.short or known.label if short else known.label


def axis_name(metric: str) -> str:
    """Title of an axis for a cost metric, to which `axis_units` adds the unit."""
    known = notation(metric)
    return known.axis or known.label


def axis_units(metric: str) -> tuple[tuple[float, str], ...]:
    """Units of an axis: the divisor of its tick labels, largest first, and the end of its title, ``, millions`` or ``, KiB``."""
    known = notation(metric)
    words = {"k": ", thousands", "M": ", millions", "G": ", billions", "T": ", trillions", "": ""}
    found = []
    for size, symbol in known.scale.steps:
        prefix = symbol.removesuffix(known.base) if known.scale.telling else symbol
        found.append((size, words[prefix] if known.scale.telling and prefix in words else f", {symbol}" if symbol else ""))
    return tuple(found)


def roughly(seconds: float) -> str:
    """Writes an estimated duration: ``about 35 min``."""
    for unit, name in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 1.5 * unit:
            return (
                f"about {seconds / unit:.1f} {name}"
                if seconds < 10 * unit and unit > 60
                else f"about {seconds / unit:.0f} {name}"
            )
    return f"about {max(1, round(seconds))} s"


def duration(seconds: float) -> str:
    """Writes a duration: ``41 s``, ``3 min 20 s``, ``2 h 05 min``, ``3 d 4 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if seconds >= 9.95 else f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def costs(cost: Cost) -> str:
    """Writes all metrics of a cost: ``1.43 MFLOPs, 124 kparams, 14.5 KiB of weights``; see `amount`."""
    return ", ".join(amount(metric, value) for metric, value in cost.values.items())


def amount(metric: str, value: float) -> str:
    """Writes one metric of a cost: ``1.43 MFLOPs``, or ``14.5 KiB of weights`` where the unit does not imply the metric."""
    known = notation(metric)
    return f"{quantity(metric, value)}{'' if known.scale.telling else f' of {known.label.lower()}'}"


def tally(
    counts: dict[str, int],
    states: tuple[str, ...] = ("finished", "stopped", "failed", "refused", "replayed", "interrupted", "running"),
) -> str:
    """Counts of trials by state: ``12 finished · 2 stopped early · 140 refused``."""
    said = {"stopped": "stopped early"}
    return " · ".join(f"{counts[s]:,} {said.get(s, s)}" for s in states if counts.get(s)) or "none yet"


STATIC_OPERATORS = frozenset({"ghost", "mixconv", "static"})
"""Operators of the package that compute the same function for every input."""


def operator_mix(architecture: Architecture) -> dict[str, int]:
    """Number of layers by operator, the most used first. Slots that no space can search are not counted."""
    return dict(Counter(architecture.operators.values()).most_common())


def mix(architecture: Architecture) -> str:
    """Describes a network by its operators and dynamic activations: ``22 dcd, 4 static``, ``26 static, with dyrelu``."""
    return said_mix(operator_mix(architecture), architecture.dynamic_activations)


def said_mix(used: Mapping[str, int], activations: Sequence[str] = ()) -> str:
    """Writes the counts of `operator_mix` and the dynamic activations in words; without counts, the operators are ``static``."""
    said = ", ".join(f"{n} {name}" for name, n in used.items()) or "static"
    return f"{said}, with {' and '.join(activations)}" if activations else said


def no_result(trial: Trial) -> str:
    """Says that a trial has no result, and why: ``refused and never trained: 9 MFLOPs is outside flops <= 2 MFLOPs``."""
    state = "refused and never trained" if trial.state == "refused" else f"{trial.state} without a result"
    return f"{state}: {trial.reason}" if trial.reason else state


def ending(trial: Trial, objective: Objective) -> str:
    """Describes the outcome of a trial: the objective's value, or the reason for its absence."""
    reached = objective.named(objective.of(trial.score))
    if trial.state == "stopped" and trial.score:
        return f"stopped early at {reached} after epoch {trial.score.epochs}"
    if trial.state == "finished" and trial.score:
        return reached
    return f"{trial.state}: {trial.reason}" if trial.reason else trial.state
