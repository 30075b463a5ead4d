"""Checks whether every operator and whole networks can be exported, compiled, copied and trained in parallel.

    OMP_NUM_THREADS=1 python benchmarks/portability.py [--rows REGEX] [--properties pt2 ONNX ...]
    OMP_NUM_THREADS=1 python benchmarks/portability.py [--rows REGEX] --write

The first command prints the table of docs/portability.md, the second updates its rows. A cell holds the largest errors at batch 1
and at batch 8, relative to the largest output (for compiled training and DDP: gradient), in float32, or the exception that was
raised. Nothing is timed, so other load does not matter.
"""

from __future__ import annotations

import argparse
import platform
import re
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from portability import ALLOWED, EXACT, INPUT, PROPERTIES, VARIANTS, Errors, Shape, ddp, network_of, operator_at

PAGE = Path(__file__).parents[1] / "docs" / "portability.md"
PARALLEL = "DDP"
COMPILED = ("compile", "compiled training")

NETWORKS = ("mobilenetv2", "mobilenetv3", "resnet")
"""Backbones with a row for a network of all operators; the slow tests check the other backbones as well."""
COLUMNS = (*PROPERTIES, PARALLEL)

Case = partial[tuple[nn.Module, Shape]]


def mixed(network: str) -> tuple[nn.Module, Shape]:
    """A small network whose slots cycle through all operators, and the shape of its input."""
    return network_of(network, *VARIANTS), INPUT


def rows() -> dict[str, Case]:
    """Name of each row -> the function that makes its module: every operator at a 3x3 place, and networks of all operators."""
    found: dict[str, Case] = {variant: partial(operator_at, variant, "3x3") for variant in VARIANTS}
    return found | {f"{network} of all": partial(mixed, network) for network in NETWORKS}


def tried(property: str, case: Case) -> Errors | str:
    """The errors of a property, or the exception; networks compile with `aot_eager`, because inductor would take minutes."""
    traced = property in COMPILED and case.func is mixed
    try:
        return PROPERTIES[property](*case(), *(["aot_eager"] if traced else []))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def cell(property: str, found: Errors | str) -> str:
    """Text of a cell: `ok` or `fail` with the errors, or `fail` with the exception in one line."""
    if isinstance(found, str):
        return f"fail: {found.splitlines()[0][:80].replace('|', '/')}"
    verdict = "ok" if max(found) <= ALLOWED.get(property, EXACT) else "fail"
    return f"{verdict} {shown(found[0])}, {shown(found[1])}"


def shown(error: float) -> str:
    """An error with one digit."""
    return f"{error:.0e}".replace("e-0", "e-") if error else "0"


def line(name: str, cells: list[str]) -> str:
    """One row of the table."""
    return f"| {name} | {' | '.join(cells)} |"


def heading(columns: tuple[str, ...]) -> str:
    """The first two lines of the table."""
    return f"{line('', list(columns))}\n{line('---', ['---'] * len(columns))}"


def with_rows(page: str, fresh: Mapping[str, str]) -> str:
    """The page with rows of its table replaced or added, all in the order of `rows`.

    Raises:
        ValueError: when the page has no table with all columns.
    """
    start, found, after = page.partition(heading(COLUMNS) + "\n")
    if not found:
        raise ValueError("The page has no table with all columns.")
    table, blank, rest = after.partition("\n\n")
    lines = {line.split("|")[1].strip(): line for line in table.splitlines()} | fresh
    return start + found + "\n".join(lines[name] for name in rows() if name in lines) + blank + rest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="", help="regular expression that selects rows; default: all")
    parser.add_argument("--properties", nargs="+", choices=COLUMNS, default=list(COLUMNS))
    parser.add_argument("--write", action="store_true", help="update the rows in docs/portability.md; needs all properties")
    chosen = parser.parse_args()
    if chosen.write and tuple(chosen.properties) != COLUMNS:
        parser.error("--write needs all properties. Leave out --properties.")
    torch.set_num_threads(1)
    cases: Mapping[str, Case] = {name: case for name, case in rows().items() if re.search(chosen.rows, name)}
    parallel: Mapping[str, Errors | str] = {}
    if PARALLEL in chosen.properties:
        with tempfile.TemporaryDirectory() as folder:
            parallel = ddp(cases, Path(folder))
    print(f"torch {torch.__version__}, Python {platform.python_version()}, {platform.machine()}, one thread\n")
    print(heading(tuple(chosen.properties)))
    fresh = {}
    for name, case in cases.items():
        found = [parallel[name] if p == PARALLEL else tried(p, case) for p in chosen.properties]
        fresh[name] = line(name, [cell(p, f) for p, f in zip(chosen.properties, found, strict=True)])
        print(fresh[name], flush=True)
    if chosen.write:
        PAGE.write_text(with_rows(PAGE.read_text(encoding="utf-8"), fresh), encoding="utf-8")


if __name__ == "__main__":
    main()
