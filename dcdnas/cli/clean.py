"""`dcdnas clean`: removes files that can be made again."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from dcdnas.cli._output import Output

__all__ = ["clean"]

PANEL = "Results"

DERIVED = ("pareto.csv", "report.html", "front/*.yaml", "ray")
"""Removable files in a run's folder: `dcdnas report RUN` makes the first three again; Ray needs its own only while it runs."""


def clean(
    out: Output,
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="Name or folder of the run.", show_default=False)] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Clean all runs and the cache (decoded pictures, prices, times, compiled kernels).")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove the files; without this flag they are only listed.")] = False,
) -> None:
    """List the files of a run that can be made again, with their sizes; with --yes, remove them.

    These are the run's page, the table and the configs of its front, and Ray's files. The results of the search are kept, as are
    weights, notes and downloaded data. Of the cache's folder, only files that dcdnas wrote there are removed.

    Example:  dcdnas clean --all --yes
    """
    from dcdnas.core.cache import cache_folder, cached_files
    from dcdnas.core.lock import live_driver
    from dcdnas.core.units import BYTES
    from dcdnas.engine.folders import find_run, run_folders
    from dcdnas.errors import UsageError

    if (run is None) != every:
        raise UsageError("clean takes a run, or --all for all of them and the cache: dcdnas clean RUN, dcdnas clean --all.")
    folders = run_folders() if run is None else [find_run(run)]
    rows: list[dict[str, Any]] = []
    for folder in folders:
        if live_driver(folder):
            out.warn(f"Note: {folder} is being searched, and stays as it is.")
            continue
        rows += described(folder, [path for pattern in DERIVED for path in sorted(folder.glob(pattern))])
    if every:
        rows += described(cache_folder(), cached_files())
    total = sum(row["bytes"] for row in rows)
    if yes:
        for row in rows:
            remove(row["paths"])
    documents = [{"folder": row["folder"], "files": len(row["paths"]), "bytes": row["bytes"]} for row in rows]
    out.document({"removed": yes, "bytes": total, "folders": documents})
    for row in rows:
        out.show(f"{BYTES.write(row['bytes']):>9}  {row['folder']}: {row['names']}")
    can = "Removed" if yes else "Can be removed with --yes:"
    out.show(f"{can} {BYTES.write(total)}." if rows else "There is nothing to remove.")


def described(folder: Path, paths: list[Path]) -> list[dict[str, Any]]:
    """Returns a row that describes the files of a folder; no row if there are no files."""
    if not paths:
        return []
    names = sorted({path.relative_to(folder).parts[0].partition("-")[0] for path in paths})
    return [{"folder": str(folder), "paths": paths, "names": ", ".join(names), "bytes": sum(map(size_of, paths))}]


def size_of(path: Path) -> int:
    """Size in bytes of a file, or of all files in a folder."""
    inside = [path] if path.is_symlink() or not path.is_dir() else path.rglob("*")
    total = 0
    for one in inside:
        with suppress(OSError):  # another process may have removed it
            total += 0 if one.is_dir() else one.lstat().st_size
    return total


def remove(paths: list[Path]) -> None:
    """Removes files and folders, and ``front`` folders that become empty; of a symbolic link, only the link."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    for folder in {path.parent for path in paths if path.parent.name == "front"}:
        with suppress(OSError):  # it contains other files
            folder.rmdir()
