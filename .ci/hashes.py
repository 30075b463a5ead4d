"""Writes ``constraints-hashes.txt``: what is pinned in ``constraints.txt`` with the SHA-256 of its files, for a release.

    python .ci/hashes.py

Without torch, whose wheels come from several indexes, and without dcdnas itself. pip chooses the files, as for an installation on
this kind of machine and Python, and installs nothing. A release checks them before it builds:
``pip install --require-hashes --no-deps -r constraints-hashes.txt``. `make setup` does not, so that it works on any machine.
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
"""What has no line; neither have the libraries that torch brings, whose names begin with nvidia."""


def pinned(text: str) -> list[str]:
    """The lines of a constraints file that name one version, without what is left out."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    found = [line for line in lines if "==" in line]
    return [line for line in found if _name(line) not in LEFT_OUT and not _name(line).startswith("nvidia")]


def _name(line: str) -> str:
    return re.sub(r"[-_.]+", "-", line.partition("==")[0].partition("[")[0].strip().lower())


def lines_of(report: Mapping[str, Any], wanted: Iterable[str]) -> list[str]:
    """A line a package with the hash of its file, out of pip's report of an installation.

    Raises:
        ValueError: naming a package without a SHA-256, or with another version than the one that is pinned.
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
    """Asks pip and writes the file."""
    wanted = pinned((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet", "--report"]
        subprocess.run([*command, str(report), *wanted], check=True)
        lines = lines_of(json.loads(report.read_text(encoding="utf-8")), wanted)
    (ROOT / "constraints-hashes.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines)} packages")


if __name__ == "__main__":
    main()
