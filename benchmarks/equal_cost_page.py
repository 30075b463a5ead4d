"""Prints the tables of the trainings of `equal_cost.py`, or writes them into docs/equal-cost.md and draws their figure.

    python benchmarks/equal_cost_page.py [--latency] [--write]

The first table has for each row the mean accuracy with its 95 % interval (Student's t over the seeds), the difference to
`static` paired by seed, cost and parameters, the processor time of a training, and the exported network's time for one image as a
multiple of that of `static`. `--latency` measures this time first, for the network of each row's first seed (processor time in
onnxruntime on one thread, all networks in turns in this process), and stores it in `equal_cost-latency.json`. The second table
has what each search chose.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from equal_cost import RESULTS, SEARCHES, UNIFORM
from operator_pages import renewed
from result_lines import rows_of

from dcdnas.core.architecture import Architecture
from dcdnas.core.uncertainty import student
from dcdnas.core.units import mix, quantity

LATENCIES = RESULTS.with_name("equal_cost-latency.json")
PAGE = RESULTS.parents[1] / "docs" / "equal-cost.md"
ROUNDS = 60

STATIC = ("static", "static-twice", "mixconv", "ghost")
COLOURS = {"static": "#5b6472", "dynamic": "#1f6feb", "searched": "#b3541e"}

Rows = dict[str, dict[int, dict[str, Any]]]
"""Row -> seed -> line of the results."""


def main() -> None:
    """Prints or writes the tables, after measuring latencies if requested."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency", action="store_true", help="measure the exported networks first")
    parser.add_argument("--write", action="store_true", help="update docs/equal-cost.md and its figure")
    given = parser.parse_args()
    rows = by_row(rows_of(RESULTS))
    if given.latency:
        LATENCIES.write_text(json.dumps(latencies(rows), indent=1) + "\n", encoding="utf-8")
    parts = blocks(rows)
    if given.write:
        PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), **parts), encoding="utf-8")
        draw(rows, PAGE.with_suffix(".svg"))
    else:
        print("\n\n".join(parts.values()))


def blocks(rows: Rows) -> dict[str, str]:
    """The generated parts of the page by their names; the choices only if there was a search."""
    times = json.loads(LATENCIES.read_text(encoding="utf-8")) if LATENCIES.exists() else {}
    found = {"table": "\n".join(table(rows, times)), "compute": compute(rows)}
    return found | ({"choices": "\n".join(choices(rows))} if set(SEARCHES) & set(rows) else {})


def by_row(lines: Sequence[dict[str, Any]]) -> Rows:
    """Groups the lines by row, in the order of the table, and by seed; rows without a line are left out."""
    of = {name: {line["seed"]: line for line in lines if line["row"] == name} for name in (*UNIFORM, *SEARCHES)}
    return {name: dict(sorted(found.items())) for name, found in of.items() if found}


def table(rows: Rows, times: Mapping[str, float]) -> list[str]:
    """The lines of the table."""
    lines = [
        "| network | seeds | test accuracy, % | to `static`, points | FLOPs | parameters | training, s | time / `static` |",
        "| --- |" + " ---: |" * 7,
    ]
    for name, found in rows.items():
        gains = [] if name == "static" else gains_of(rows, name)
        mean = {key: statistics.fmean(line[key] for line in found.values()) for key in ("flops", "params", "seconds")}
        measured = [interval(accuracies(found)), interval(gains, "+")]
        costs = [quantity(metric, mean[metric]) for metric in ("flops", "params")]
        took = [f"{mean['seconds']:,.0f}", f"{times[name]:.2f}" if name in times else ""]
        lines.append(f"| `{name}` | {len(found)} | {' | '.join([*measured, *costs, *took])} |")
    return lines


def accuracies(found: Mapping[int, dict[str, Any]]) -> list[float]:
    """Test accuracies of a row's networks in per cent."""
    return [100 * line["accuracy"] for line in found.values()]


def gains_of(rows: Rows, name: str) -> list[float]:
    """Differences in points to the static network of the same seed."""
    static = rows.get("static", {})
    return [100 * (line["accuracy"] - static[seed]["accuracy"]) for seed, line in rows[name].items() if seed in static]


def interval(values: Sequence[float], sign: str = "") -> str:
    """The mean and the half-width of its 95 % interval by Student's t."""
    if len(values) < 2:
        return "".join(f"{value:{sign}.2f}" for value in values)
    return f"{statistics.fmean(values):{sign}.2f} ± {half_of(values):.2f}"


def half_of(values: Sequence[float]) -> float:
    """Half-width of the 95 % interval of a mean."""
    return student(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0


def choices(rows: Rows) -> list[str]:
    """The table of choices: test accuracy, how many layers have each operator, searched settings, and the search's time."""
    lines = [
        "| search | seed | test accuracy, % | layers | depth | kernel size | expansion | search, s |",
        "| --- | ---: | ---: | --- | --- | --- | --- | ---: |",
    ]
    for line in (line for search in SEARCHES for line in rows.get(search, {}).values()):
        chosen = Architecture.from_dict(line["architecture"])
        settings = [chosen.settings[key] for key in ("depth", "kernel_size", "expansion")]
        said = [", ".join(str(_first(part)) for part in setting) for setting in settings]
        found = [f"`{line['row']}`", str(line["seed"]), f"{100 * line['accuracy']:.2f}", mix(chosen)]
        lines.append(f"| {' | '.join([*found, *said])} | {line['search_seconds']:,.0f} |")
    return lines


def _first(setting: Any) -> Any:
    """The setting of a stage's first block, which all its blocks share here."""
    return setting[0] if isinstance(setting, (list, tuple)) else setting


def compute(rows: Rows) -> str:
    """Total processor time of all trainings and searches of the table, as a sentence."""
    lines = [line for found in rows.values() for line in found.values()]
    hours = sum(line["seconds"] + line["search_seconds"] for line in lines) / 3600
    machines = sorted({line["machine"] for line in lines})
    return f"{len(lines)} networks, {hours:.1f} hours of one core in all; {', '.join(machines)}."


def latencies(rows: Rows) -> dict[str, float]:
    """Median time of each exported network for one image, as a multiple of the static network's."""
    from exported import opened

    from dcdnas.export import Model, export_model

    spent: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        calls = {}
        for name, found in rows.items():
            content = next(iter(found.values()))["architecture"]
            export_model(Model(Architecture.from_dict(content)), Path(folder, name), ["onnx"])
            calls[name] = opened(Path(folder, name, "model-batch1.onnx"), content["input"])[0]
        for _, (name, call) in product(range(ROUNDS), calls.items()):
            begun = time.process_time()
            call()
            spent.setdefault(name, []).append(time.process_time() - begun)
    static = statistics.median(spent["static"])
    return {name: round(statistics.median(times) / static, 3) for name, times in spent.items()}


def draw(rows: Rows, path: Path) -> None:
    """Draws the accuracies as an SVG: each seed, the mean with its interval, and a line at the mean of the static networks."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from dcdnas.pages.figures._canvas import PRINT

    names = sorted(rows, key=lambda name: statistics.fmean(accuracies(rows[name])))
    with mpl.rc_context(PRINT | {"font.size": 9, "xtick.labelsize": 9, "ytick.labelsize": 9, "axes.labelsize": 9}):
        figure = Figure(figsize=(6.4, 0.6 + 0.28 * len(names)), layout="constrained")
        ax = figure.add_subplot()
        for place, name in enumerate(names):
            values = accuracies(rows[name])
            colour = COLOURS["searched" if name in SEARCHES else "static" if name in STATIC else "dynamic"]
            ax.plot(values, [place] * len(values), "|", color=colour, alpha=0.5)
            half = half_of(values) if len(values) > 2 else 0.0  # that of two seeds is wider than the figure
            ax.errorbar(statistics.fmean(values), place, xerr=half, fmt="o", color=colour, markersize=5, capsize=3)
        ax.axvline(statistics.fmean(accuracies(rows["static"])), color="#5b6472", linewidth=0.8, linestyle=":")
        for kind, colour in COLOURS.items():
            ax.plot([], [], "o", color=colour, markersize=5, label=kind)
        ax.legend(loc="lower right")
        ax.set_yticks(range(len(names)), names)
        ax.grid(axis="x")
        ax.grid(visible=False, axis="y")
        ax.set_xlabel("test accuracy on CIFAR-10 at equal multiply-adds, %")
        figure.savefig(path)


if __name__ == "__main__":
    main()
