"""Actions of the pages when the server has a token: stop and resume a search, star a trial, write a note about it.

`dcdnas.dashboard.security.Guard` checks the token and the origin of a request before it reaches this module.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dcdnas.core.lock import live_driver
from dcdnas.dashboard.live_run import LiveRun
from dcdnas.dashboard.resume import resume_beside
from dcdnas.engine.signals import request_stop
from dcdnas.errors import DcdnasError, UsageError
from dcdnas.results import write_note

Wanted = Mapping[str, Any]
"""The decoded JSON content of a request."""

MOST_BYTES = 32 * 1024
"""Largest size of a request's content; a note of the longest length fits in any script."""

MOST_MORE = 100_000
"""Most trainings that one request can add."""


def routes() -> list[Route]:
    """The routes that change a run or its notes; ``trial`` in them is `dcdnas.dashboard.routes.TrialNumber`."""
    one = "/runs/{run}"
    found = {f"{one}/stop": stop, f"{one}/resume": resume, f"{one}/trials/{{number:trial}}/note": note}
    return [Route(path, _acting(action), methods=["POST"]) for path, action in found.items()]


def stop(live: LiveRun, wanted: Wanted, number: int) -> dict[str, Any]:
    """Asks the driver to stop; with ``now`` without waiting for the running trainings to finish."""
    now = _flag(wanted, "now") or False
    if live_driver(live.folder) is None:
        raise UsageError(f"{live.run.name} is not running: there is nothing to stop.")
    request_stop(live.folder, now)
    when = "at once" if now else "when the running trainings have ended"
    return {"said": f"{live.run.name} will stop {when}. It can be resumed."}


def resume(live: LiveRun, wanted: Wanted, number: int) -> dict[str, Any]:
    """Starts ``dcdnas resume`` as a separate process, with ``more`` trainings added to the number requested so far."""
    more = wanted.get("more", 0)
    if type(more) is not int or not 0 <= more <= MOST_MORE:
        raise UsageError(f"more trainings: cannot be {more!r}. Allowed: a whole number, 0 to {MOST_MORE:,}.")
    if not live.run.resumable:
        raise UsageError(f"{live.run.name} cannot be resumed from a page. Continue with: {live.run.to_go_on}")
    if live.run.status == "finished" and live.run.ended >= live.run.asked and not more:
        raise UsageError(f"{live.run.name} has finished all requested trainings. Enter how many more to run.")
    return {"said": resume_beside(live.folder, more)}


def note(live: LiveRun, wanted: Wanted, number: int) -> dict[str, Any]:
    """Saves a star (``starred``), a note (``text``), or both for a trial."""
    found, text = live.run.trial(number), wanted.get("text")
    if text is not None and not isinstance(text, str):
        raise UsageError(f"text: cannot be {text!r}. Allowed: a string.")
    kept = write_note(live.folder, found.number, _flag(wanted, "starred"), text)
    return {"said": "Saved.", "starred": kept.starred, "text": kept.text}


def _flag(wanted: Wanted, name: str) -> bool | None:
    value = wanted.get(name)
    if value is not None and not isinstance(value, bool):
        raise UsageError(f"{name}: cannot be {value!r}. Allowed: true or false.")
    return value


def _acting(action: Callable[[LiveRun, Wanted, int], dict[str, Any]]) -> Callable[[Request], Any]:
    """Wraps an action as a route: JSON in, JSON out; ``said`` in the answer is the message or the error."""

    def act(request: Request, wanted: Wanted) -> Response:
        try:
            live = request.app.state.shelf.open(request.path_params["run"])
            return JSONResponse(action(live, wanted, request.path_params.get("number", -1)))
        except DcdnasError as error:
            return JSONResponse({"said": str(error)}, 409)

    async def answer(request: Request) -> Response:
        try:
            wanted = await _content(request)
        except ValueError as error:
            return JSONResponse({"said": str(error)}, 400)
        return await run_in_threadpool(act, request, wanted)

    return answer


async def _content(request: Request) -> Wanted:
    """Reads the content of a request; only JSON is accepted, because no HTML form of another site can send it.

    Raises:
        ValueError: when the content is too large or not a JSON object.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise ValueError("Send JSON, with the content type application/json.")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BYTES:
            raise ValueError(f"The request is too long. Allowed: {MOST_BYTES:,} bytes.")
        parts.append(part)
    try:
        content = json.loads(b"".join(parts) or b"{}")
    except RecursionError:
        raise ValueError("The JSON is nested too deeply. Send a flat JSON object.") from None
    if not isinstance(content, dict):
        raise ValueError("Send a JSON object.")
    return content
