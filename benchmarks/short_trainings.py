"""Measures how well short trainings rank networks of `equal_cost.py`, whose accuracies after 15 epochs are known.

    python benchmarks/short_trainings.py -d cifar10:DIR [--as 16000x4 4000x16] [--rows static dcd] [--seeds 1]
    python benchmarks/short_trainings.py -d cifar10:DIR --rows random-0 --as 16000x15 16000x4 [--trials 8 9]

A search of `equal_cost.py` trusts short trainings. Networks are trained by several short recipes, written as training images x
epochs: with fewer epochs, or with fewer images for as many epochs as the table's own trainings have. The trainings are those of a
search, on a part of its 16,000 training images, and are read on its 4,000 validation images.

The rows of the table, which are all equally deep, are compared with their mean test accuracies. The networks that a search
trained, whose run has to be in the folder, differ in depth, kernel size and expansion too. They are compared with their own
validation accuracies as 16000x15. Their readings as 16000x4 are those of the search, which gives every training its own seed.

Results are lines of `short_trainings.jsonl`; a training whose line is there is not repeated. The printed table has for the rows
and for each search, and for each recipe, Kendall's tau between its readings and those accuracies, with a 95 % bootstrap interval
over the networks; and the mean of those accuracies over the three networks that the recipe ranks first by loss. Fewer than five
networks are not compared.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import torch
from equal_cost import PROXY_EPOCHS, RECIPE, SEARCHES, UNIFORM, uniform
from equal_cost import RESULTS as LONG
from result_lines import rows_of
from row_trainings import options, train_missing

from dcdnas import load_run
from dcdnas.core.rank_correlation import kendall_interval, kendall_tau
from dcdnas.core.trial import Trial
from dcdnas.data import Split, load, split
from dcdnas.networks import build_network
from dcdnas.training.loop import seeded, train

RESULTS = Path(__file__).with_suffix(".jsonl")
SHORT = ("16000x4", "4000x16", "8000x8", "16000x8")
OF_THE_SEARCH, REFERENCE = f"16000x{PROXY_EPOCHS}", "16000x15"
ROWS = [name for name in UNIFORM if name != "static-twice"]
RUNS = [f"{search}-0" for search in SEARCHES]
FIRST, FEWEST = 3, 5


def main() -> None:
    """Trains what is missing and prints the table."""
    parser = options(__doc__, [*ROWS, *RUNS], RESULTS)
    parser.set_defaults(rows=ROWS)
    parser.add_argument("--as", dest="recipes", nargs="+", default=list(SHORT), metavar="IMAGESxEPOCHS")
    parser.add_argument("--trials", type=int, nargs="+", help="only these trainings of the searches")
    given = parser.parse_args()
    train_missing(given, keys(given), lambda key, data: trained(key, data, given.folder))
    print("\n".join(table(rows_of(given.results), rows_of(LONG))))


def keys(given: Namespace) -> Iterator[dict[str, Any]]:
    """What identifies each training: the rows seed by seed and recipe by recipe, and the networks of searches one by one."""
    rows = [row for row in given.rows if row not in RUNS]
    for seed, recipe, row in product(range(given.seeds), given.recipes, rows):
        yield {"row": row, "recipe": recipe, "seed": seed}
    for run in (row for row in given.rows if row in RUNS):
        numbers = [n for n in trials(given.folder, run) if not given.trials or n in given.trials]
        for seed, number, recipe in product(range(given.seeds), numbers, given.recipes):
            if not (seed and recipe == OF_THE_SEARCH):
                yield {"row": f"{run}/{number}", "recipe": recipe, "seed": seed}


@cache
def trials(folder: Path, run: str) -> dict[int, Trial]:
    """The networks that a search trained to the end, by number; those that every search begins with come last."""
    finished = [trial for trial in load_run(folder / "runs" / run).trials if trial.state == "finished"]
    return {trial.number: trial for trial in sorted(finished, key=lambda trial: trial.origin in ("static", "ladder", "start"))}


def trained(key: dict[str, Any], data: str, folder: Path) -> dict[str, Any]:
    """Trains one network; its accuracy and loss on the validation images, and the processor time."""
    group, number = split_name(key["row"])
    count, epochs = map(int, key["recipe"].split("x"))
    trial = trials(folder, group)[number] if group else None
    architecture = trial.architecture if trial else uniform(key["row"])
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    line: dict[str, Any] = {"images": count, "torch": torch.__version__, "machine": machine}
    if trial:
        line |= {"depth": architecture.settings["depth"], "digest": architecture.digest}
    if trial and trial.score and key["recipe"] == OF_THE_SEARCH:
        return dict(trial.score.values) | {"seconds": round(trial.score.seconds, 1)} | line
    parts = split(load(data))
    few = split(parts.train, 1 - count / len(parts.train), seed=1).train if count < len(parts.train) else parts.train
    with seeded(key["seed"]):
        network = build_network(architecture)
    begun = time.process_time()
    score = train(network, Split(few, parts.validation), replace(RECIPE, epochs=epochs, seed=key["seed"]))
    return dict(score.values) | {"seconds": round(time.process_time() - begun, 1)} | line


def table(short: list[dict[str, Any]], long: list[dict[str, Any]]) -> list[str]:
    """The lines of the table: one for each search, or the rows, and each recipe and seed."""
    true: dict[str, list[float]] = {}
    for line in [*long, *(line for line in short if line["recipe"] == REFERENCE)]:
        true.setdefault(line["row"], []).append(100 * line["accuracy"])
    lines = [
        f"| networks of | images x epochs | seed | number | tau by accuracy | tau by loss | first {FIRST}, % | training, s |",
        "| --- | --- |" + " ---: |" * 6,
    ]
    groups: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for line in short:
        group, _ = split_name(line["row"])
        if line["row"] in true and not (group and line["recipe"] == REFERENCE):
            groups.setdefault((group or "rows", line["recipe"], line["seed"]), []).append(line)
    for (group, recipe, seed), of in sorted(groups.items()):
        if len(of) < FEWEST:
            continue
        known = [statistics.fmean(true[line["row"]]) for line in of]
        losses = [-line["loss"] for line in of]
        found = [ranked(values, known) for values in ([line["accuracy"] for line in of], losses)]
        first = statistics.fmean(t for _, t in sorted(zip(losses, known, strict=True), reverse=True)[:FIRST])
        seconds = statistics.fmean(line["seconds"] for line in of)
        lines.append(f"| {group} | {recipe} | {seed} | {len(of)} | {' | '.join(found)} | {first:.2f} | {seconds:,.0f} |")
    return lines


def split_name(row: str) -> tuple[str, int]:
    """The search and the number of a network; no search for a row of the table."""
    run, _, number = row.rpartition("/")
    return run, int(number) if run else 0


def ranked(values: list[float], true: list[float]) -> str:
    """Kendall's tau with its interval."""
    low, high = kendall_interval(values, true)
    return f"{kendall_tau(values, true):.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
