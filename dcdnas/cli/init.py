"""`dcdnas init`: writes a starter project that can be searched at once."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from dcdnas.cli._output import Output

__all__ = ["init"]

PANEL = "Spaces and data"

SPACE = "space.yaml"

SETTINGS = """\
# Defaults for searches in this folder; flags and --set override them. `dcdnas search --dry-run` shows the plan.
space: space.yaml
budget: 2MFLOPs # several in a list: [2MFLOPs, 100kparams]
trials: 24
"""


def init(
    out: Output,
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Folder to write to.")] = Path("."),
) -> None:
    """Write a starter project: a search space whose comments explain the format, and settings to search it.

    Example:  dcdnas init my-search && cd my-search && dcdnas search
    """
    from dcdnas.core.files import make_folder, write_whole
    from dcdnas.engine.planning.settings import FILE
    from dcdnas.errors import UsageError

    shipped = Path(__file__).parents[1] / "search_spaces" / "fashion-quick.yaml"
    name = "starter"
    space = shipped.read_text(encoding="utf-8").replace("name: fashion-quick", f"name: {name}").replace("fashion-quick", SPACE)
    files = {folder / SPACE: space, folder / FILE: SETTINGS}
    there = [str(path) for path in files if path.exists()]
    if there:
        raise UsageError(f"{' and '.join(there)} would be overwritten. Name another folder: dcdnas init DIR.")
    make_folder(folder)
    for path, text in files.items():
        write_whole(path, text)
    out.document({"files": [str(path) for path in files]})
    for path in files:
        out.show(f"wrote {path}")
    where = "" if folder == Path(".") else f"cd {shlex.quote(str(folder))} && "
    out.show(f"Try it:  {where}dcdnas search")
