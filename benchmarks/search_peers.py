"""Compares the optimizers of other tools with dcdnas on a benchmark table, in the searches of `search_quality.py`.

    dcdnas data fetch nas-bench-macro
    python benchmarks/search_peers.py [--benchmark dynconv-fmnist] [--seeds 20] [--peers optuna-tpe pymoo] [--budgets none]
        [--against dcdnas-model] [--show]

Each tool runs as its documentation says (the files in `peers/`), in its own virtual environment, which is made once in the cache
folder from the versions below. Every decision of the space is a categorical parameter; a value for a decision that does not apply
has no effect. The tools minimise the value that the samplers of dcdnas are told (the loss where the table has one, else the
error) and the multiply-adds; those called `-error` minimise the first alone. There are three variants:
- `filtered`: only the proposals differ. All tools start with the networks and readings with which the searches of dcdnas start.
  Networks over the budget are refused before they are evaluated, and a network that was evaluated before is answered from memory;
  neither counts as an evaluation. The best network is chosen as dcdnas chooses it.
- `plain`: the tool by itself. It starts in its own way, a budget is a constraint, or a penalty if the tool has no constraints,
  every request counts as an evaluation, and the result is the network within the budget with the best reading.
- `stopped`: like `plain`, for tools that stop trainings early by their intermediate readings. Instead of evaluations, the epochs
  that equally many complete trainings take are limited, and only completed trainings count. Tables without intermediate readings
  do not have this variant.

Results are judged as in `search_quality.py`, after 24, 50 and 100 evaluations. They are stored in `search_peers-BENCHMARK.json`
beside this file, one entry per search, and a search whose result is there is not repeated. The searches of dcdnas are those of
`search_quality.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from search_quality import SIZES, results_of, searched, show
from yardstick import BUDGETS, DIGITS, GOALS, Yardstick, yardstick

from dcdnas.core.cache import cache_folder
from dcdnas.core.trial import Score, Trial
from dcdnas.engine.job import derived_seed
from dcdnas.networks import identity
from dcdnas.space.library import load_space
from dcdnas.space.pricing.cost import priced
from dcdnas.space.pricing.table import SpaceTable
from dcdnas.space.search_space import Decisions, SearchSpace
from dcdnas.tables import Curve, tables

SCRIPTS = Path(__file__).with_name("peers")


class Peer(NamedTuple):
    """How a tool is run: its script with arguments, the packages to install, and whether it stops trainings early."""

    script: tuple[str, ...]
    needs: tuple[str, ...]
    stops: bool = False


OPTUNA = ("optuna==5.0.0", "scipy==1.17.1")
RAY, SYNE_TUNE = ("ray[tune]==2.60.0", "optuna==5.0.0"), ("syne-tune==0.16.0",)
GP = (*OPTUNA, "torch==2.13.0")
PEERS = {
    "pymoo": Peer(("with_pymoo.py",), ("pymoo==0.6.2",)),
    "syne-tune": Peer(("with_syne_tune.py",), SYNE_TUNE),
    "syne-tune-moasha": Peer(("with_syne_tune.py", "moasha"), SYNE_TUNE, stops=True),
    "optuna-nsga2": Peer(("with_optuna.py", "nsga2"), OPTUNA),
    "optuna-tpe": Peer(("with_optuna.py", "tpe"), OPTUNA),
    "optuna-tpe-error": Peer(("with_optuna.py", "tpe-error"), OPTUNA),
    "ray-optuna": Peer(("with_ray.py",), RAY),
    "ray-optuna-asha": Peer(("with_ray.py", "asha"), RAY, stops=True),
    "optuna-gp": Peer(("with_optuna.py", "gp"), GP),
    "optuna-gp-error": Peer(("with_optuna.py", "gp-error"), GP),
}
OURS = ("random", "tpe", "model")
VARIANTS = ("filtered", "plain", "stopped")


def main() -> None:
    """Runs the missing searches, and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmark", default="nas-bench-macro", choices=list(BUDGETS))
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--budgets", nargs="+")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--evaluations", type=int, default=SIZES[-1], choices=SIZES, help="length of a search")
    parser.add_argument("--table", help="file of the benchmark table; default: the fetched or shipped one")
    parser.add_argument("--results", type=Path)
    parser.add_argument("--ours", type=Path, help="file with the results of search_quality.py")
    parser.add_argument("--against", default="dcdnas-model", help="contestant with which the others are compared")
    parser.add_argument("--show", action="store_true", help="run no search, only print the results so far")
    given = parser.parse_args()
    given.budgets = given.budgets or BUDGETS[given.benchmark]
    path = given.results or peers_results_of(given.benchmark)
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    if not given.show:
        search_missing(found, path, given)
    ours = json.loads((given.ours or results_of(given.benchmark)).read_text())
    print(found.get("machine", ""))
    for variant in given.variants:
        for measure in DIGITS:
            print(f"\n{variant}:", end="")
            contestants = [*(f"dcdnas-{name}" for name in OURS), *given.peers]
            show(beside(ours, found, variant), measure, given.budgets, contestants, given.against)


def peers_results_of(benchmark: str) -> Path:
    """The file with the results of the searches on a table."""
    return Path(__file__).with_name(f"search_peers-{benchmark}.json")


def beside(ours: Mapping[str, Any], found: Mapping[str, Any], variant: str) -> dict[str, Any]:
    """The results of all searches of one variant and of dcdnas, by budget, contestant and seed."""
    named = {f"{b}/dcdnas-{s}/{n}": row for key, row in ours.items() if key != "machine" for b, s, n in [key.split("/")]}
    return named | {key.removesuffix(f"/{variant}"): row for key, row in found.items() if key.endswith(f"/{variant}")}


def search_missing(found: dict[str, Any], path: Path, given: argparse.Namespace) -> None:
    """Runs the searches without a result, seed by seed."""
    contest = Contest(yardstick(tables[given.benchmark](given.table)))
    asked = {peer: Asked(PEERS[peer]) for peer in given.peers}
    for seed, budget, peer, variant in product(range(given.seeds), given.budgets, given.peers, given.variants):
        key = f"{budget}/{peer}/{seed}/{variant}"
        if str(given.evaluations) not in found.get(key, {}) and contest.has(PEERS[peer], variant):
            found[key] = contest.searched(asked[peer], budget, seed, variant, given.evaluations)
            found["machine"] = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
            path.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(found[k])}" for k in sorted(found)) + "\n}\n")
            print(key, found[key], flush=True)


class Row(NamedTuple):
    """A combination of choices: its decisions, the identity of its network, the multiply-adds, and the trainings."""

    decisions: Decisions
    same: str
    cost: float
    curves: tuple[Curve, ...]


@dataclass
class Contest:
    """The searches on one table.

    Args:
        measure: judges what was found.
    """

    measure: Yardstick

    @cached_property
    def space(self) -> SearchSpace:
        """The space whose networks the table contains."""
        return load_space(self.measure.table.NAME)

    @cached_property
    def rows(self) -> dict[str, Row]:
        """Every combination of choices by its name, which has one digit per decision."""
        prices, rows = SpaceTable(self.space, ("flops",)), {}
        for digits in product(*(range(len(d.options)) for d in self.space.decisions)):
            wanted = {d.name: d.options[digit] for d, digit in zip(self.space.decisions, digits, strict=True)}
            outcome = self.space.decide(lambda name, _, wanted=wanted: wanted[name])  # type: ignore[misc]
            cost, architecture = float(prices.costs(prices.encode([outcome]))[0, 0]), self.space.architecture(outcome)
            curves = self.measure.table.curves(architecture)
            rows["".join(map(str, digits))] = Row(outcome, identity(architecture), cost, curves)
        return rows

    def has(self, peer: Peer, variant: str) -> bool:
        """Whether this tool takes part in this variant on this table."""
        return peer.stops == (variant == "stopped") and (self.measure.table.EPOCHS > 1 or not peer.stops)

    def searched(self, asked: Asked, budget: str, seed: int, variant: str, evaluations: int) -> dict[str, Any]:
        """Runs one search of a tool; returns how its result is judged at each size up to `evaluations`."""
        filtered, epochs = variant == "filtered", self.measure.table.EPOCHS
        starts = searched(self.measure.table, "random", budget, 10, seed)[0] if filtered else []
        most, seen = self.measure.bound(budget), self.seen(starts, seed)
        answer = asked.answer({
            "options": {d.name: list(map(str, d.options)) for d in self.space.decisions}, "trials": evaluations, "seed": seed,
            "starts": [{d.name: str(t.decisions.get(d.name, d.options[0])) for d in self.space.decisions} for t in starts],
            "budget": None if budget == "none" else most, "filtered": filtered, "epochs": epochs,
            "worst": max(told(end) for curve in seen.values() for end in (curve if variant == "stopped" else curve[-1:])),
            "networks": {name: [row.same, row.cost, told(seen[row.same][-1])] for name, row in self.rows.items()},
            "curves": {same: list(map(told, curve)) for same, curve in seen.items()} if variant == "stopped" else {},
        })  # fmt: skip
        networks, found = [self.rows[name] for name in answer["networks"]], {}
        for size in (size for size in SIZES if size <= evaluations):
            count = sum(ended <= size * epochs for ended in answer["ended"]) if variant == "stopped" else size
            found[str(size)] = self.judged(networks[:count], seen, most, filtered)
        return found | {"ms": answer["ms"], "asked": answer["asked"], "evaluated": len(networks)}

    def seen(self, starts: Sequence[Trial], seed: int) -> dict[str, Curve]:
        """The training that a search sees of each network: for a start the one that dcdnas saw, else a randomly drawn one."""
        seen: dict[str, Curve] = {t.deployed: (t.score.values,) for t in starts if t.score}
        for row in self.rows.values():
            seen.setdefault(row.same, row.curves[derived_seed(seed, row.same) % len(row.curves)])
        return seen

    def judged(self, rows: Sequence[Row], seen: Mapping[str, Curve], most: float, filtered: bool) -> dict[str, float]:
        """b, U and V of the networks within the budget that were evaluated."""
        within = [row for row in rows if row.cost <= most]
        readings = [[curve[-1]["accuracy"] for curve in row.curves] for row in within]
        ends = [seen[row.same][-1] for row in within]
        by = [-told(end) for end in ends]
        if filtered:
            by = self.measure.believed([self.trial(*each) for each in zip(range(len(within)), within, ends, strict=True)])
        return self.measure.judge([row.cost for row in within], readings, [end["accuracy"] for end in ends], most, by)

    def trial(self, number: int, row: Row, values: Mapping[str, float]) -> Trial:
        """An evaluated network as a finished trial of dcdnas."""
        network = priced(self.space, row.decisions)
        score = Score(values, 1, 0.0)
        return Trial(number, "finished", network.architecture, network.decisions, network.cost, score, deployed=row.same)


def told(values: Mapping[str, float]) -> float:
    """The value that is minimised beside the cost, as the samplers of dcdnas are told it."""
    by = GOALS.ranked_by(GOALS.primary, Score(values, 1, 0.0))
    return 1 - values["accuracy"] if by is None else by


@dataclass
class Asked:
    """A tool in a separate process, which starts with its first search.

    Args:
        peer: how the tool is run.
    """

    peer: Peer

    @cached_property
    def process(self) -> subprocess.Popen[str]:
        """The process, which reads problems and writes answers; on one thread, as Optuna's page on its GP sampler advises."""
        command = [str(python_of(self.peer)), str(SCRIPTS / self.peer.script[0]), *self.peer.script[1:]]
        alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=alone)

    def answer(self, problem: Mapping[str, Any]) -> dict[str, Any]:
        """Has the tool search; returns the networks that it evaluated, in order, and the number and duration of its requests.

        Raises:
            SystemExit: when the tool's process has ended; it has printed why.
        """
        assert self.process.stdin
        assert self.process.stdout
        try:
            self.process.stdin.write(json.dumps(problem) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise SystemExit(f"{' '.join(self.peer.script)} ended with exit status {self.process.wait()}; see its output above.")
        answer: dict[str, Any] = json.loads(line)
        return answer


def python_of(peer: Peer) -> Path:
    """The interpreter of the tool's own virtual environment, which is created if it does not exist."""
    folder = cache_folder() / "peers" / re.sub(r"[^a-z0-9.]+", "-", " ".join(peer.needs))
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *peer.needs], check=True, stdout=sys.stderr)
        (folder / "complete").touch()
    return python


if __name__ == "__main__":
    main()
