"""`dcdnas doctor`: checks whether this machine can run a search."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dcdnas.cli._output import Output
from dcdnas.core.extras import EXTRAS

__all__ = ["doctor"]

PANEL = "This machine"

NEEDED = ("torch", "ray", "optuna", "fvcore", "numpy", "pandas", "moocore", "safetensors")
PROBES = {
    "torch": "import torch.cuda as c; print(', '.join(map(c.get_device_name, range(c.device_count()))) or 'none')",
    "ray": "import ray; print(ray.__version__)",
    "dcdnas.kernels": "from dcdnas.kernels import why_not as w; print(f'off, training is slower: {w()}' if w() else 'compiled')",
}
"""Checks that need an import; each runs in its own process, because a broken package may crash it."""

ASKS_FOR_A_TOKEN = (2, 60)
"""Version from which Ray requires a token by default."""

SECONDS = 120
"""Seconds after which a probe counts as hung."""


@dataclass(frozen=True)
class Finding:
    """Result of one check: its subject, whether it passed, what was found, and what to do if it failed."""

    what: str
    well: bool
    seen: str
    advice: str = ""


def doctor(out: Output) -> None:
    """Check this machine: versions, cores, memory, GPUs, Ray and its ports, the runs folder, optional packages.

    The exit code is 1 when something that a search needs is missing.
    """
    from dcdnas.errors import DcdnasError

    found = []
    for finding in _findings():
        found.append(finding)
        out.show(f"{'ok' if finding.well else 'NO':<3} {finding.what:<12} {finding.seen}")
        if not finding.well:
            out.show(f"    {'':<12} {finding.advice}")
    out.document([{"what": f.what, "well": f.well, "seen": f.seen, "advice": "" if f.well else f.advice} for f in found])
    wrong = [f.what for f in found if not f.well]
    if wrong:
        raise DcdnasError(f"problems with: {', '.join(wrong)}. The lines above say what to do.")


def _findings() -> Iterator[Finding]:
    python = platform.python_version()
    yield Finding("Python", sys.version_info >= (3, 11), python, "dcdnas needs Python 3.11 or newer.")
    yield _package("dcdnas")
    for name in NEEDED:
        yield _package(name)
    yield Finding("cores", True, f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()}")
    yield Finding("memory", True, _memory())
    yield _probe("GPUs", "torch")
    yield _probe("Ray", "ray")
    yield _ports()
    yield _probe("kernels", "dcdnas.kernels", "Set DCDNAS_KERNELS to off, or install a C compiler.")
    yield _runs()
    for extra, names in EXTRAS.items():
        missing = [name for name in names if not _version(name)]
        seen = f'not installed: {", ".join(missing)} (optional: pip install "dcdnas[{extra}]")' if missing else "installed"
        yield Finding(f"extra {extra}", True, seen)


def _package(name: str) -> Finding:
    found = _version(name)
    return Finding(name, bool(found), found or "not installed", "Install dcdnas again: make setup, or pip install dcdnas.")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _probe(what: str, package: str, advice: str = "") -> Finding:
    advice = advice or f"`python -c 'import {package}'` has to work. Install {package} again for this Python and machine."
    try:
        done = subprocess.run([sys.executable, "-c", PROBES[package]], capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return Finding(what, False, f"importing {package} takes more than {SECONDS} s", advice)
    if done.returncode:
        return Finding(
            what, False, f"importing {package} fails: {(done.stderr.strip() or 'no message').splitlines()[-1]}", advice
        )
    return Finding(what, True, done.stdout.strip())


def _ports() -> Finding:
    """Checks whether other machines could run code here during a search on Ray, which always listens on all interfaces."""
    said, number = os.environ.get("RAY_AUTH_MODE", "").lower(), tuple(map(int, re.findall(r"\d+", _version("ray"))[:2]))
    if said == "token" or (not said and number >= ASKS_FOR_A_TOKEN):
        return Finding("Ray's ports", True, "open to other machines, which need the token in ~/.ray/auth_token")
    advice = "Set RAY_AUTH_MODE=token, close the ports to other machines, or search with `--executor local`, which opens none."
    return Finding(
        "Ray's ports", False, "open to other machines without a token: anyone who reaches them can run code here", advice
    )


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB"
    except (AttributeError, ValueError, OSError):
        return "unknown"


def _runs() -> Finding:
    """Checks that a run can be written, in the runs folder or the nearest existing folder above it, and that no file is there."""
    folder = Path(os.environ.get("DCDNAS_RUNS") or "runs").expanduser()
    there = next((p for p in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(p)), Path("/"))
    advice = "Set DCDNAS_RUNS to a folder that you may write to."
    if not there.is_dir():
        return Finding("runs folder", False, f"{folder} cannot be written: {there} is no folder", advice)
    try:
        with tempfile.TemporaryFile(dir=there):
            return Finding("runs folder", True, f"{folder} can be written")
    except OSError as error:
        return Finding("runs folder", False, f"{folder} cannot be written: {error.strerror or error}", advice)
