"""Writes ``constraints-hashes.txt``: the packages pinned in ``constraints.txt`` with the SHA-256 of their files, for a release.

    python .ci/hashes.py

torch is left out because its wheels come from several indexes, and so is dcdnas itself. pip selects the files as for an
installation on this kind of machine and Python version, and installs nothing. A release checks the hashes before it builds:
``pip install --require-hashes --no-deps -r constraints-hashes.txt``. `make setup` does not use them, so that it works on any
machine.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

LEFT_OUT = ("torch", "torchvision", "triton", "dcdnas")
"""Packages without a line; the libraries that torch installs, whose names begin with nvidia, have none either."""


def pinned(text: str) -> list[str]:
    """The lines of a constraints file that pin a version, without those of packages that are left out."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    found = [line for line in lines if "==" in line]
    return [line for line in found if _name(line) not in LEFT_OUT and not _name(line).startswith("nvidia")]


def _name(line: str) -> str:
    return re.sub(r"[-_.]+", "-", line.partition("==")[0].partition("[")[0].strip().lower())


def lines_of(report: Mapping[str, Any], wanted: Iterable[str]) -> list[str]:
    """A line for each pinned package with the hash of its file, from pip's installation report.

    Raises:
        ValueError: when a package has no SHA-256, or when pip would install another version than the pinned one.
    """
    found = {}
    for one in report["install"]:
        name, version = one["metadata"]["name"], one["metadata"]["version"]
        digest = one.get("download_info", {}).get("archive_info", {}).get("hashes", {}).get("sha256", "")
        if not re.fullmatch("[0-9a-f]{64}", digest):
            raise ValueError(f"{name} {version} has no SHA-256 in pip's report")
        found[_name(f"{name}==")] = f"{name}=={version} --hash=sha256:{digest}"
    lines = []
    for line in wanted:
        made = found.get(_name(line), "")
        if made.partition("==")[2].partition(" ")[0] != line.partition("==")[2]:
            raise ValueError(f"{line} is pinned, and pip would install {made.partition(' ')[0] or 'nothing'}")
        lines.append(made)
    return lines


def main() -> None:
    """Asks pip for the files of the pinned packages, and writes their hashes."""
    wanted = pinned((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet", "--report"]
        subprocess.run([*command, str(report), *wanted], check=True)
        lines = lines_of(json.loads(report.read_text(encoding="utf-8")), wanted)
    (ROOT / "constraints-hashes.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"Wrote constraints-hashes.txt with {len(lines)} packages.")


if __name__ == "__main__":
    main()
