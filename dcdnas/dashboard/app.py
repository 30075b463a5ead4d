"""The web application: its routes, their shared error pages, and the server that runs it."""

from __future__ import annotations

import socket
import webbrowser
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from dcdnas.dashboard import control, events, routes
from dcdnas.dashboard.optuna_view import OptunaView
from dcdnas.dashboard.render import html
from dcdnas.dashboard.runs import Shelf
from dcdnas.dashboard.security import Guard, answered
from dcdnas.errors import DcdnasError, RunError, UsageError
from dcdnas.pages import layers
from dcdnas.pages.render import HERE

if TYPE_CHECKING:
    import uvicorn

HOST, PORT = "127.0.0.1", 8080

Page = Callable[[Request], Response]


def make_app(runs: Path, host: str = HOST, token: str = "") -> ASGIApp:
    """Returns the application that serves a folder of runs.

    Args:
        runs: the folder; need not exist yet.
        host: the address that the server is bound to; decides which Host headers are answered.
        token: required to stop and resume searches and to write notes; empty when these actions are disabled.
    """
    one = "/runs/{run}"
    table = [
        Route("/", _in_thread(routes.runs)),
        Route(one, _in_thread(routes.run)),
        Route(f"{one}/trials.json", _in_thread(routes.trials)),
        Route(f"{one}/choices.json", _in_thread(routes.choices)),
        Route(f"{one}/events", events.stream),
        Route(f"{one}/failures", _in_thread(routes.failures)),
        Route(f"{one}/live", _in_thread(routes.live)),
        Route(f"{one}/space", _in_thread(routes.space)),
        Route(f"{one}/compare", _in_thread(routes.compare)),
        Route(f"{one}/trials/{{number:trial}}", _in_thread(routes.trial)),
        Route(f"{one}/trials/{{number:trial}}/card", _in_thread(routes.card)),
        Route(f"{one}/trials/{{number:trial}}/config.yaml", _in_thread(routes.config)),
        *(control.routes() if token else ()),
        *OptunaView().routes(),
        Mount("/assets", StaticFiles(directory=HERE / "static")),
    ]
    app = Starlette(
        routes=table,
        middleware=[Middleware(GZipMiddleware, minimum_size=1000)],
        exception_handlers={404: _missing, DcdnasError: _refused, Exception: _broken},
        lifespan=_lifespan,
    )
    app.state.shelf = Shelf(runs)
    app.state.control = bool(token)
    return Guard(app, answered(host), token)


def serve(runs: Path, host: str, port: int, open_browser: bool, note: Callable[[str], None], token: str = "") -> None:
    """Serves until Ctrl-C. A token, which permits the actions of the pages, is printed here once.

    Raises:
        UsageError: when the port is taken.
    """
    listener = listen(host, port)
    url = address(listener)
    note(f"Dashboard of {runs}: {url}   (Ctrl-C ends it)")
    if token:
        note(f"Token: {token}   (a page asks for it before it stops or resumes a search, or saves a note)")
    if open_browser:
        webbrowser.open(url)
    server(runs, host, token).run(sockets=[listener])


def server(runs: Path, host: str, token: str = "") -> uvicorn.Server:
    """Returns the server, which is not running yet."""
    import uvicorn

    config = uvicorn.Config(make_app(runs, host, token), log_level="warning", timeout_graceful_shutdown=1, server_header=False)
    return uvicorn.Server(config)


def listen(host: str, port: int) -> socket.socket:
    """Returns a bound, listening socket; port 0 selects any free port.

    Raises:
        UsageError: when the port is taken.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except (OSError, OverflowError) as error:
        listener.close()
        raise UsageError(f"cannot listen on {host}:{port}: {error}. Give another --port, or 0 for any free one.") from None
    return listener


def address(listener: socket.socket) -> str:
    """The URL at which a browser reaches a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def _in_thread(page: Page) -> Callable[[Request], Any]:
    """Wraps a page as a route that runs in a thread, so that it does not block other requests while it reads files."""

    async def answer(request: Request) -> Response:
        return await run_in_threadpool(page, request)

    answer.__name__ = page.__name__
    return answer


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    layers.warm()
    yield


async def _missing(request: Request, error: Exception) -> Response:
    return html("error.html", 404, title="There is no such page", text=str(getattr(error, "detail", "")), request=request)


async def _refused(request: Request, error: Exception) -> Response:
    unreadable = isinstance(error, RunError)
    title = "This run cannot be shown" if unreadable else "That cannot be shown"
    return html("error.html", 404, title=title, text=str(error), request=request)


async def _broken(request: Request, error: Exception) -> Response:
    text = f"{type(error).__name__}: {error}. The results of the run are intact. The terminal of the server shows the details."
    return html("error.html", 500, title="This page failed", text=text, request=request)
