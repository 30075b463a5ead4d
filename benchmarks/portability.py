"""What can be done with every operator and with whole networks: exported, compiled, copied, trained in parallel.

    OMP_NUM_THREADS=1 python benchmarks/portability.py [--rows REGEX] [--properties pt2 ONNX ...]

prints the table of docs/portability.md. A cell holds the largest error at batch 1 and at batch 8, relative to the largest output
(of compiled training and DDP: gradient), in float32; or what was raised. Nothing here is a timing: a busy machine does no harm.
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

PARALLEL = "DDP"
COMPILED = ("compile", "compiled training")

NETWORKS = ("mobilenetv2", "mobilenetv3", "resnet")
"""Backbones of which a network of all operators has a row; the slow tests try the others as well."""
COLUMNS = (*PROPERTIES, PARALLEL)

Case = partial[tuple[nn.Module, Shape]]


def mixed(network: str) -> tuple[nn.Module, Shape]:
    """A small network whose slots take turns at all operators."""
    return network_of(network, *VARIANTS), INPUT


def rows() -> dict[str, Case]:
    """Name of each row and what makes its module: every operator at a 3x3 place, and networks of all of them."""
    found: dict[str, Case] = {variant: partial(operator_at, variant, "3x3") for variant in VARIANTS}
    return found | {f"{network} of all": partial(mixed, network) for network in NETWORKS}


def tried(property: str, case: Case) -> Errors | str:
    """The errors of a property, or what was raised; of networks the graph alone is compiled, since inductor takes minutes."""
    traced = property in COMPILED and case.func is mixed
    try:
        return PROPERTIES[property](*case(), *(["aot_eager"] if traced else []))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def cell(property: str, found: Errors | str) -> str:
    """`ok` with the errors, or `fail` with the reason in a line."""
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="", help="a regular expression; all when left out")
    parser.add_argument("--properties", nargs="+", choices=COLUMNS, default=list(COLUMNS))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    cases: Mapping[str, Case] = {name: case for name, case in rows().items() if re.search(chosen.rows, name)}
    parallel: Mapping[str, Errors | str] = {}
    if PARALLEL in chosen.properties:
        with tempfile.TemporaryDirectory() as folder:
            parallel = ddp(cases, Path(folder))
    print(f"torch {torch.__version__}, Python {platform.python_version()}, {platform.machine()}, one thread\n")
    print(heading(tuple(chosen.properties)))
    for name, case in cases.items():
        found = [parallel[name] if p == PARALLEL else tried(p, case) for p in chosen.properties]
        print(line(name, [cell(p, f) for p, f in zip(chosen.properties, found, strict=True)]), flush=True)


if __name__ == "__main__":
    main()
