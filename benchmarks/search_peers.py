"""What other tools find on NAS-Bench-Macro, beside dcdnas: the searches of `search_quality.py` with their optimizers.

    dcdnas data fetch nas-bench-macro
    python benchmarks/search_peers.py [--seeds 20] [--peers optuna-tpe pymoo] [--budgets none] [--against dcdnas-model] [--show]

Each tool runs as its documentation says (the files in `peers/`), in a virtual environment of its own, which is made once in the
cache folder from the versions below. It chooses each of the eight blocks among three and minimizes the error that it reads and
the multiply-adds. There are two variants. In the first, `filtered`, every contestant begins with the networks and readings with
which the searches of dcdnas begin, networks over the budget are refused before they are evaluated, and one that was evaluated
before is answered from memory; neither counts. The second, `plain`, is the tool by itself: it begins as it does, a budget is a
constraint where it has such, and everything that it asks for counts.

Judged as there, at 24, 50 and 100 evaluations; b of a tool is of the network that read best, which is its answer. Results go to
`search_peers.json` beside this file, search by search: what is there is not searched again. The searches of dcdnas are those of
`search_quality.py`.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import venv
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from search_quality import SIZES, results_of, searched, show
from yardstick import BUDGETS, DIGITS, Yardstick, yardstick

from dcdnas.core.cache import cache_folder
from dcdnas.engine.job import derived_seed
from dcdnas.networks import identity
from dcdnas.space.library import load_space
from dcdnas.space.pricing.table import SpaceTable
from dcdnas.tables import Table, tables

RESULTS = Path(__file__).with_suffix(".json")
BENCHMARK = "nas-bench-macro"
SCRIPTS = Path(__file__).with_name("peers")


class Peer(NamedTuple):
    """How a tool is run: its script with words, and what is installed for it."""

    script: tuple[str, ...]
    needs: tuple[str, ...]


OPTUNA = ("optuna==5.0.0", "scipy==1.17.1")
PEERS = {
    "optuna-tpe": Peer(("with_optuna.py", "tpe"), OPTUNA),
    "optuna-nsga2": Peer(("with_optuna.py", "nsga2"), OPTUNA),
    "optuna-gp": Peer(("with_optuna.py", "gp"), (*OPTUNA, "torch==2.13.0")),
    "ray-optuna": Peer(("with_ray.py",), ("ray[tune]==2.60.0", "optuna==5.0.0")),
    "syne-tune": Peer(("with_syne_tune.py",), ("syne-tune==0.16.0",)),
    "pymoo": Peer(("with_pymoo.py",), ("pymoo==0.6.2",)),
}
OURS = ("random", "tpe", "model")
VARIANTS = ("filtered", "plain")


class Row(NamedTuple):
    """A name in the table: what network it is, multiply-adds, and the three readings."""

    same: str
    cost: float
    readings: tuple[float, ...]


def main() -> None:
    """Searches what is missing, and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--budgets", nargs="+", default=list(BUDGETS[BENCHMARK]))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--table", help="file of the benchmark; the fetched one when left out")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--ours", type=Path, default=results_of(BENCHMARK), help="results of search_quality.py")
    parser.add_argument("--against", default="dcdnas-model", help="contestant to whom the others' differences are printed")
    parser.add_argument("--show", action="store_true", help="search nothing, print what there is")
    given = parser.parse_args()
    found: dict[str, Any] = json.loads(given.results.read_text()) if given.results.exists() else {}
    if not given.show:
        search_missing(found, given)
    ours = json.loads(given.ours.read_text())
    for variant in given.variants:
        beside = {f"{b}/dcdnas-{s}/{n}": row for key, row in ours.items() if key != "machine" for b, s, n in [key.split("/")]}
        beside |= {key.removesuffix(f"/{variant}"): row for key, row in found.items() if key.endswith(f"/{variant}")}
        for measure in DIGITS:
            print(f"\n{variant}:", end="")
            show(beside, measure, given.budgets, [*(f"dcdnas-{name}" for name in OURS), *given.peers], given.against)


def search_missing(found: dict[str, Any], given: argparse.Namespace) -> None:
    """Searches what was not searched yet, seed by seed."""
    measure = yardstick(tables[BENCHMARK](given.table))
    rows = rows_of(measure.table)
    for seed, budget in product(range(given.seeds), given.budgets):
        wanted = [(p, v) for p, v in product(given.peers, given.variants) if f"{budget}/{p}/{seed}/{v}" not in found]
        starts = searched(measure.table, "random", budget, 10, seed)[0] if any(v == "filtered" for _, v in wanted) else []
        for peer, variant in wanted:
            problem = problem_of(rows, starts if variant == "filtered" else [], measure, budget, seed)
            names = asked(PEERS[peer], {**problem, "filtered": variant == "filtered"})
            key = f"{budget}/{peer}/{seed}/{variant}"
            found[key] = {str(size): judged(measure, rows, problem, names[:size], measure.bound(budget)) for size in SIZES}
            found[key] |= {"ms": 0.0, "evaluated": len(names)}
            given.results.write_text(
                "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(found[k])}" for k in sorted(found)) + "\n}\n"
            )
            print(key, found[key], flush=True)


def rows_of(table: Table) -> dict[str, Row]:
    """Every name of the benchmark."""
    space = load_space(BENCHMARK)
    priced = SpaceTable(space, ("flops",))
    rows = {}
    for digits in product(range(3), repeat=len(space.decisions)):
        outcome = {d.name: d.options[digit] for d, digit in zip(space.decisions, digits, strict=True)}
        architecture = space.architecture(outcome)
        cost = priced.costs(priced.encode([outcome]))[0, 0]
        rows["".join(map(str, digits))] = Row(identity(architecture), float(cost), table.readings(architecture))
    return rows


def problem_of(rows: dict[str, Row], starts: Sequence[Any], measure: Yardstick, budget: str, seed: int) -> dict[str, Any]:
    """What a tool is given: choices, costs, and of each network the one reading that this search sees."""
    space = load_space(BENCHMARK)
    options = {d.name: list(d.options) for d in space.decisions}
    seen = {row.same: row.readings[derived_seed(seed, row.same) % len(row.readings)] for row in rows.values()}
    seen |= {identity(trial.architecture): trial.score.values["accuracy"] for trial in starts}
    return {
        "options": options, "starts": [dict(trial.decisions) for trial in starts], "trials": SIZES[-1], "seed": seed,
        "budget": None if budget == "none" else measure.bound(budget),
        "networks": {name: [row.same, row.cost, seen[row.same]] for name, row in rows.items()},
    }  # fmt: skip


def asked(peer: Peer, problem: dict[str, Any]) -> list[str]:
    """Names of the networks that a tool has evaluated, in order."""
    command = [str(python_of(peer)), str(SCRIPTS / peer.script[0]), *peer.script[1:]]
    ended = subprocess.run(command, input=json.dumps(problem), capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"{' '.join(peer.script)} ended with {ended.returncode}:\n{ended.stderr}")
    names: list[str] = json.loads(ended.stdout.splitlines()[-1])
    return names


def python_of(peer: Peer) -> Path:
    """The interpreter of the tool's own environment, which is made where there is none."""
    folder = cache_folder() / "peers" / re.sub(r"[^a-z0-9.]+", "-", " ".join(peer.needs))
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *peer.needs], check=True, stdout=sys.stderr)
        (folder / "complete").touch()
    return python


def judged(
    measure: Yardstick, rows: dict[str, Row], problem: dict[str, Any], names: Sequence[str], most: float
) -> dict[str, float]:
    """b, U and V of what was evaluated within the budget."""
    within = [name for name in names if rows[name].cost <= most]
    seen = [problem["networks"][name][2] for name in within]
    return measure.judge([rows[name].cost for name in within], [rows[name].readings for name in within], seen, most)


if __name__ == "__main__":
    main()
