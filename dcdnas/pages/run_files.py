"""Writes the result files of a search: ``pareto.csv``, ``front/*.yaml`` and ``report.html``.

All of them are derived from the run's database, so they may be deleted and written again (`dcdnas report RUN`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dcdnas.core.files import write_whole
from dcdnas.export.config import write_config
from dcdnas.export.provenance import model_of
from dcdnas.pages.single_file import write_report
from dcdnas.results import Run
from dcdnas.results.verdict import Verdict


@dataclass(frozen=True)
class Results:
    """Paths of the derived files.

    Args:
        table: ``pareto.csv``.
        configs: ``front/01.yaml`` and so on, from the cheapest network of the front to the most expensive.
        best: ``front/best.yaml``; None without a finished trial.
        page: ``report.html``.
    """

    table: Path
    configs: tuple[Path, ...]
    best: Path | None
    page: Path


def write_results(run: Run) -> Results:
    """Writes the front of a run as a table and as configs, the config of its best network, and the report.

    Raises:
        MismatchError: when a config would not rebuild the network that was searched.
        UsageError: when a file cannot be written.
    """
    line = run.front()
    folder = run.folder / "front"
    for old in folder.glob("*.yaml"):
        old.unlink()
    digits = max(2, len(str(len(line))))
    named = [(folder / f"{i:0{digits}d}.yaml", trial) for i, trial in enumerate(line, 1)]
    configs = tuple(write_config(model_of(run, trial), path) for path, trial in named)
    best = run.best
    path = write_config(model_of(run, best), folder / "best.yaml") if best else None
    table = run.folder / "pareto.csv"
    write_whole(table, _csv(run, {trial.number: path for path, trial in named}))
    return Results(table, configs, path, write_report(run, run.folder / "report.html"))


def _csv(run: Run, paths: Mapping[int, Path]) -> str:
    """The front's rows of the run's frame as CSV, with the config file of each network and whether it is distinguishable."""
    undecided = Verdict(run).undecided
    rows = [{**r, "undecided": r["number"] in undecided} for r in run.rows if r["number"] in paths]
    rows.sort(key=lambda r: paths[r["number"]].name)
    text = io.StringIO()
    if rows:
        table = csv.DictWriter(text, ["config", *rows[0]], lineterminator="\n")
        table.writeheader()
        table.writerows({"config": paths[r["number"]].relative_to(run.folder), **r} for r in rows)
    return text.getvalue()
