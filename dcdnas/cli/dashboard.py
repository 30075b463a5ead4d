"""`dcdnas dashboard`: serves the pages of the runs for a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dcdnas.cli._output import Output

__all__ = ["dashboard"]

PANEL = "Results"


def dashboard(
    out: Output,
    runs: Annotated[
        Path | None, typer.Option("--runs", help="Folder of the runs; by default the one in DCDNAS_RUNS, or runs/.")
    ] = None,
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="Port to listen on; 0 for any free one.")] = 8080,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; any but 127.0.0.1 lets other machines connect.")
    ] = "127.0.0.1",
    open_browser: Annotated[bool, typer.Option("--open", help="Also open a browser.")] = False,
    allow_control: Annotated[
        bool,
        typer.Option(
            "--allow-control", help="Allow those who have the printed token to stop and resume searches and to edit notes."
        ),
    ] = False,
) -> None:
    """Show the runs in a browser: Pareto fronts, networks layer by layer, and searches while they run.

    The pages are read-only unless --allow-control is given, and load nothing from other hosts. Ctrl-C ends the server.
    """
    import secrets

    from dcdnas.core.extras import need
    from dcdnas.core.files import runs_folder

    need("dashboard", "`dcdnas dashboard`", "starlette", "uvicorn")
    from dcdnas.dashboard.app import serve
    from dcdnas.dashboard.security import LOOPBACK

    if host not in LOOPBACK:
        out.warn(f"Everyone who can reach {host}:{port} can read these runs: there is no password.")
    token = secrets.token_urlsafe(32) if allow_control else ""
    serve((runs or runs_folder()).expanduser(), host, port, open_browser, out.note, token)
