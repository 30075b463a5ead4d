"""Mutation tests: changes the code of the core in one place at a time, and checks whether the module's tests notice.

``python tests/mutation/mutate.py [--jobs N] [--seconds S]`` resumes an interrupted run and writes ``results.json`` after every
mutant. A mutant runs in a copy of the package in a temporary folder, so the working tree is never changed.
"""

from __future__ import annotations

import argparse
import ast
import json
import multiprocessing
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from itertools import chain, zip_longest
from pathlib import Path
from threading import Lock

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).with_name("results.json")
TARGETS = {
    "dcdnas/core/pareto.py": "tests/core/test_pareto.py tests/core/test_front.py",
    "dcdnas/core/budget.py": "tests/core/test_budget.py",
    "dcdnas/engine/halving.py": "tests/engine/test_halving.py",
    "dcdnas/engine/loop.py": "tests/engine/test_loop.py",
    "dcdnas/cost/*.py": "tests/cost tests/operators/test_layer_parts.py",
}
"""Modules -> tests that must notice a change in them."""

FOLDERS = ("dcdnas", "search_spaces", "tests", "docs", "benchmarks")
"""Folders in a copy of the project, beside the files of its root."""

COUNT, SEED, TIME_LIMIT = 200, 0, 300.0
MEMORY = 8 << 30
"""Memory limit of a mutant in bytes, because an endless loop may also allocate endlessly."""
PRELOADED = ["torch", "optuna", "moocore", "pandas", "fvcore.nn"]
"""Packages that are imported once, in the process from which every mutant's process is forked."""

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq, ast.Lt, ast.Gt),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
}


@dataclass(frozen=True)
class Mutant:
    """One change in one place of a file.

    Args:
        file: path relative to the project.
        line: line number of the place.
        before: original code of the place.
        after: code that replaces it.
        node: index of the replaced node of the file's tree, in the order of `ast.walk`.
        choice: index among the node's replacements.
    """

    file: str
    line: int
    before: str
    after: str
    node: int
    choice: int


def replacements(node: ast.AST) -> Iterator[ast.AST]:
    """Yields the possible replacements of a node."""
    match node:
        case ast.Compare(left, ops, comparators):
            for i, op in enumerate(ops):
                for other in COMPARISONS[type(op)]:
                    yield ast.Compare(left, [*ops[:i], other(), *ops[i + 1 :]], comparators)
        case ast.BinOp(left, op, right) if type(op) in ARITHMETIC:
            yield ast.BinOp(left, ARITHMETIC[type(op)](), right)
        case ast.BoolOp(op, values):
            yield ast.BoolOp(ast.And() if isinstance(op, ast.Or) else ast.Or(), values)
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case ast.UnaryOp(ast.USub(), operand) if not isinstance(operand, ast.Constant):
            yield operand
        case ast.IfExp(test, body, orelse):
            yield ast.IfExp(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.If(test, body, orelse):
            yield ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield from (ast.Constant(value + 1), ast.Constant(value - 1))
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.Pass()


def untouched(tree: ast.AST) -> set[int]:
    """Ids of the nodes that do not affect behaviour: annotations, decorators, f-strings, and code for type checkers only."""
    found: set[int] = set()
    for node in ast.walk(tree):
        parts = [getattr(node, name, None) for name in ("annotation", "returns")] + getattr(node, "decorator_list", [])
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            parts.append(node)
        found |= {id(inner) for part in parts if part is not None for inner in ast.walk(part)}
    return found


def mutants(file: str, source: str) -> list[Mutant]:
    """All mutants of a file, in the order of `ast.walk`."""
    tree = ast.parse(source)
    skipped, found = untouched(tree), []
    for number, node in enumerate(ast.walk(tree)):
        for choice, other in enumerate(replacements(node) if id(node) not in skipped else ()):
            before, after = (ast.unparse(ast.fix_missing_locations(n)).splitlines()[0] for n in (node, other))
            found.append(Mutant(file, getattr(node, "lineno", 0), before, after, number, choice))
    return found


def mutated(source: str, mutant: Mutant) -> str:
    """The file's code with the mutant's change."""
    tree = ast.parse(source)
    old = list(ast.walk(tree))[mutant.node]
    new = list(replacements(old))[mutant.choice]

    class Swap(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            return new if node is old else self.generic_visit(node)

    return ast.unparse(ast.fix_missing_locations(Swap().visit(tree)))


def drawn(root: Path = ROOT, count: int = COUNT, seed: int = SEED) -> list[tuple[Mutant, str]]:
    """Draws mutants, with their tests, in turn from each target, so that an interrupted run has covered all of them."""
    rng, columns = random.Random(seed), []
    for pattern, tests in TARGETS.items():
        files = sorted(str(path.relative_to(root)) for path in root.glob(pattern))
        found = [m for file in files for m in mutants(file, (root / file).read_text())]
        columns.append([(m, nearest_first(root, m.file, tests)) for m in rng.sample(found, min(count, len(found)))])
    return [pair for pair in chain.from_iterable(zip_longest(*columns)) if pair is not None][:count]


@cache
def nearest_first(root: Path, file: str, tests: str) -> str:
    """The test files, starting with the one called like the module and those that name it: most mutants fail there."""
    module = file.removesuffix(".py").replace("/", ".")
    package, _, name = module.rpartition(".")
    named = re.compile(rf"{re.escape(module)}\b|from {re.escape(package)} import [^\n]*\b{name}\b")
    files = [
        f
        for word in tests.split()
        for f in (sorted((root / word).glob("test_*.py")) if (root / word).is_dir() else [root / word])
    ]
    files.sort(key=lambda path: (path.stem != f"test_{name.strip('_')}", not named.search(path.read_text())))
    return " ".join(str(path.relative_to(root)) for path in files)


def run_tests(folder: str, tests: str, failed: str) -> None:
    """Runs the tests in a copy of the project, in a separate process; writes the name of the first failing test to a file."""
    import pytest

    class First:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed:
                Path(failed).write_text(report.nodeid)

        def pytest_collectreport(self, report: pytest.CollectReport) -> None:
            if report.failed:
                Path(failed).write_text(f"{report.nodeid} (import)")

    os.setsid()
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    os.chdir(folder)
    os.environ["PYTHONPATH"] = folder
    sys.path.insert(0, folder)
    with open("said", "w") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
        options = ["-x", "-m", "not slow and not gpu", "-p", "no:randomly", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
        os._exit(pytest.main([*options, *tests.split()], plugins=[First()]))


class Copies:
    """Copies of the project, one for each mutant that runs concurrently."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.free, self.lock, self.made = folder, [], Lock(), 0
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(PRELOADED)

    def take(self) -> Path:
        with self.lock:
            if self.free:
                return self.free.pop()  # type: ignore[no-any-return]
            self.made += 1
            copy = self.folder / str(self.made)
        for name in FOLDERS:
            shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        for path in ROOT.glob("*.*"):
            if path.is_file():
                shutil.copy(path, copy)
        return copy

    def tried(self, mutant: Mutant | None, tests: str) -> dict[str, object]:
        """Runs the tests on a mutant, or on the unchanged code; returns the status, the first failing test and the seconds."""
        copy = self.take()
        file, failed, began = copy / (mutant.file if mutant else "pyproject.toml"), copy / "failed", time.monotonic()
        source = file.read_text()
        failed.unlink(missing_ok=True)
        if mutant:
            file.write_text(mutated(source, mutant))
            os.utime(file, (began + 1e6, time.time_ns() % 10**9))  # a time that matches no compiled file
        process = self.context.Process(target=run_tests, args=(str(copy), tests, str(failed)))
        process.start()
        process.join(TIME_LIMIT)
        status = "timeout" if process.is_alive() else "killed" if process.exitcode else "survived"
        if process.is_alive() and process.pid:
            os.killpg(process.pid, signal.SIGKILL)
            process.join()
        file.write_text(source)
        os.utime(file)
        self.free.append(copy)
        by = failed.read_text() if failed.exists() else ""
        return {"status": status, "seconds": round(time.monotonic() - began, 1), "by": by}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="number of concurrent mutants")
    parser.add_argument("--seconds", type=float, default=3600, help="seconds after which no further mutant is started")
    arguments = parser.parse_args()
    until = time.monotonic() + arguments.seconds
    wanted = drawn()
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    done = {Mutant(**{name: row[name] for name in Mutant.__annotations__}): row for row in rows}
    known = [done[m] for m, _ in wanted if m in done]  # drops results of code that has changed since
    left = [(m, tests) for m, tests in wanted if m not in done]
    lock = Lock()
    with tempfile.TemporaryDirectory(prefix="dcdnas-mutants-") as folder, ThreadPoolExecutor(arguments.jobs) as pool:
        copies = Copies(Path(folder))

        def one(pair: tuple[Mutant, str]) -> None:
            if time.monotonic() < until:
                row = {**asdict(pair[0]), **copies.tried(*pair)}
                with lock:
                    known.append(row)
                    RESULTS.write_text(json.dumps(known, indent=1) + "\n")
                    print(
                        f"{row['status']:8} {row['file']}:{row['line']}  {row['before']}  ->  {row['after']}  {row['by']}",
                        flush=True,
                    )

        for tests in TARGETS.values():
            if (found := copies.tried(None, tests))["status"] != "survived":
                said = next(Path(folder).glob("*/said")).read_text()
                sys.exit(f"{tests}: the tests fail on the unchanged code: {found}\n{said}")
        list(pool.map(one, left))
    counts = {status: sum(row["status"] == status for row in known) for status in ("killed", "timeout", "survived")}
    print(f"{len(known)} of {COUNT} mutants: {counts}")


if __name__ == "__main__":
    main()
