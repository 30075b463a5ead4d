"""Numbers as a person reads them, the same in the terminal, the report and the messages."""

from __future__ import annotations

from collections import Counter

from dcdnas.core.architecture import Architecture
from dcdnas.core.budget import quantity
from dcdnas.core.geometry import Cost
from dcdnas.core.trial import Trial


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


def points(difference: float) -> str:
    """A difference of two shares as ``+1.2 points``."""
    return f"{100 * difference:+.1f} points"


def counted(number: float, thing: str) -> str:
    """``1 epoch``, ``3 epochs``."""
    return f"{number:g} {thing}{'' if number == 1 else 's'}"


def metric_name(metric: str) -> str:
    """A cost metric as a heading."""
    return {"flops": "FLOPs", "params": "Parameters"}.get(metric, metric.replace("-", " ").capitalize())


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
    return f"{quantity(metric, value)}{'' if metric in ('flops', 'params') else f' of {metric_name(metric).lower()}'}"


def tally(
    counts: dict[str, int],
    states: tuple[str, ...] = ("finished", "stopped", "failed", "refused", "replayed", "interrupted", "running"),
) -> str:
    """Trials by state: ``12 finished · 2 stopped early · 140 refused``."""
    said = {"stopped": "stopped early"}
    return " · ".join(f"{counts[s]:,} {said.get(s, s)}" for s in states if counts.get(s)) or "none yet"


def operator_mix(architecture: Architecture) -> dict[str, int]:
    """Operator -> number of layers that it fills, the most used first. Places that no space opens are not counted."""
    return dict(Counter(choice.operator for choice in architecture.layers.values()).most_common())


def mix(architecture: Architecture) -> str:
    """``22 dcd, 4 static``; what a network is made of, in a few words."""
    return ", ".join(f"{n} {name}" for name, n in operator_mix(architecture).items()) or "static"


def ending(trial: Trial) -> str:
    """How a trial came out, in a few words: its accuracy, or why there is none."""
    if trial.state == "stopped" and trial.score:
        return f"stopped early at {percent(trial.score.accuracy)} after epoch {trial.score.epochs}"
    if trial.state == "finished" and trial.score:
        return percent(trial.score.accuracy)
    return f"{trial.state}: {trial.reason}" if trial.reason else trial.state
