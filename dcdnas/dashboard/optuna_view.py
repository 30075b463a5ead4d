"""Serves Optuna's own dashboard within this one, on in-memory copies of the runs.

Optuna's dashboard can delete and rename studies, asks for no password and works only at the root of a server. Therefore only
read requests are passed on to it, it reads a copy, and its paths (``/dashboard``, ``/api``, ``/static``, ``/csv``) are mounted
at the root.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, cast

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dcdnas.core.extras import need
from dcdnas.dashboard.live_run import LiveRun
from dcdnas.results import load_run

if TYPE_CHECKING:
    from dcdnas.engine.optuna_copy import Copies

POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Its charts need to evaluate code and write styles; nothing is loaded from another host or sent to one."""

PATHS = ("/dashboard", "/api", "/static", "/csv")
"""Paths at the root that belong to Optuna's dashboard."""


class OptunaView:
    """Optuna's dashboard, created at the first request, with a copy of each run that was opened in it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._copies: Copies | None = None
        self._app: ASGIApp | None = None
        self._copied: dict[str, tuple[int, int]] = {}

    def routes(self) -> list[BaseRoute]:
        """The route that opens a run in Optuna's dashboard, and the paths of that dashboard."""
        return [Route("/runs/{run}/optuna", self.enter), *(Mount(path, self) for path in PATHS)]

    async def enter(self, request: Request) -> Response:
        """Copies the run when it has changed since the last copy, and redirects to the copy."""
        return await run_in_threadpool(self._enter, request)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; any other than a read request is refused."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD") or self._app is None:
            await PlainTextResponse("Open Optuna's dashboard from the page of a run.", 404)(scope, receive, send)
            return
        await self._app({**scope, "root_path": ""}, receive, _with_policy(send))

    def _enter(self, request: Request) -> Response:
        live: LiveRun = request.app.state.shelf.open(request.path_params["run"])
        with self._lock:
            copies = self._ready()
            version, study = self._copied.get(live.run.name, (0, 0))
            if version != live.version:
                version, run = live.version, load_run(live.folder)
                study = copies.put(run.name, run.trials, run.budgets, run.goals)
                self._copied[run.name] = version, study
        return RedirectResponse(f"/dashboard/studies/{study}", 303)

    def _ready(self) -> Copies:
        """Imports the packages and creates the application at the first call.

        Raises:
            MissingPackageError: when a package is missing.
        """
        if self._copies is None or self._app is None:
            need("dashboard", "All other pages work, but Optuna's view", "optuna_dashboard", "a2wsgi")
            import optuna_dashboard
            from a2wsgi import WSGIMiddleware

            from dcdnas.engine.optuna_copy import Copies

            self._copies = Copies()
            self._app = cast(ASGIApp, WSGIMiddleware(optuna_dashboard.wsgi(self._copies.storage)))
        return self._copies


def _with_policy(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["content-security-policy"] = POLICY
        await send(message)

    return sent
