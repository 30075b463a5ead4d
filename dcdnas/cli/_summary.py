"""Summary at the end of a search: the verdict, the front, the confirmed networks, the computing time and the next commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dcdnas.cli._output import Output
from dcdnas.cli._tables import confirmed_table, front_table, latency_table
from dcdnas.cli._verdict import show_verdict
from dcdnas.core.trial import Trial
from dcdnas.core.units import counted, duration, quantity, tally
from dcdnas.pages.run_files import Results
from dcdnas.results import Run
from dcdnas.results.verdict import OPEN, Verdict


def summarise(out: Output, run: Run, results: Results) -> None:
    """Prints the summary of a search."""
    out.line({"event": "end", "run": run.name, "status": run.status, "ending": run.ending, "reason": run.reason, **document(run)})
    show_verdict(out, run)
    out.show("")
    line = run.front()
    if line:
        show_front(out, run, line)
    if run.confirmed:
        out.show(confirmed_table(run, run.confirmed))
    if any(t.deployed in run.timed for t in line):
        out.show(f"Latency of the front, whole networks measured on {_device(run)}", latency_table(run, line))
        for sentence in over_budget(run):
            out.show(sentence)
    confirming = sum(c.score.seconds for c in run.confirmations if c.score)
    out.show(f"Trials     {tally(run.counts)}")
    out.show(f"Training   {duration(run.seconds)} of computing, {duration(confirming)} of it to confirm")
    out.show(f"Volume     {run.hypervolume:.3f} hypervolume of the front (0 to 1)")
    if run.reason:
        out.show(f"Ended      {run.reason}")
    out.show(f"Files      {run.folder}/: pareto.csv, front/*.yaml, report.html")
    if results.best:
        out.show(f"Next       dcdnas show {run.called} --trial best")
        out.show(f"           dcdnas export {run.called} --to config,onnx -o DIR")
        out.show(f"           dcdnas resume {run.called} -n +50")


def show_front(out: Output, run: Run, line: Sequence[Trial]) -> None:
    """Prints the front, with the budget and the readings that it is based on."""
    undecided = Verdict(run).undecided
    title = f"Front: {counted(len(line), 'network')} within {_budgets(run)}, by one training each"
    out.show(front_table(run, line, undecided, title))
    if undecided:
        out.show(f"~ {len(undecided)} of {len(line)} are {OPEN} from another one of the front.")
    out.show("")


def document(run: Run) -> dict[str, Any]:
    """Returns the result of a run as plain data."""
    return {
        **Verdict(run).document(),
        "ended": run.ended, "asked": run.asked, "states": run.counts, "hypervolume": run.hypervolume, "seconds": run.seconds,
        "front": [t.number for t in run.front()],
        "confirmed": [
            {"number": c.trial.number, "mean": c.mean, "standard_deviation": c.spread, "seeds": len(c.values),
             "static": c.trial.origin == "static"} for c in run.confirmed
        ],
        **({"latency": latencies(run)} if run.timed else {}), "folder": str(run.folder),
    }  # fmt: skip


def over_budget(run: Run) -> list[str]:
    """Names the networks of the front whose measured latency exceeds a latency budget."""
    said = []
    for budget in (b for b in run.budgets if b.metric == "latency"):
        times = [(t.number, run.timed[t.deployed]["latency"]) for t in run.front() if t.deployed in run.timed]
        slow = [f"trial {number} with {quantity('latency', value)}" for number, value in times if value > budget.at_most]
        if slow:
            said.append(
                f"Measured over {budget}: {', '.join(slow)}. Predictions have this error; a lower budget leaves a margin."
            )
    return said


def _device(run: Run) -> str:
    from dcdnas.cost.latency.device import Device

    return str(Device(**run.config["latency"]["device"]))


def latencies(run: Run) -> dict[str, Any]:
    """Returns the predicted and measured latencies of the front in nanoseconds, and the device, as plain data."""
    rows = [(t, run.timed.get(t.deployed)) for t in run.front()]
    return {
        "device": dict(run.config["latency"]["device"]),
        "networks": [
            {"number": t.number, "predicted": t.cost["latency"], "measured": m["latency"], "iqr": m["iqr"]} for t, m in rows if m
        ],
    }


def _budgets(run: Run) -> str:
    return " and ".join(map(str, run.budgets)) or "no budget"
