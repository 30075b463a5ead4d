"""Server-sent events, which notify an open page of changes in its run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse

from dcdnas.dashboard.live_run import LiveRun
from dcdnas.errors import DcdnasError
from dcdnas.pages import payload

EVERY = 1.0
"""Seconds between checks of the run's files."""

LONGEST = 20
"""Digits from which on the version that a page names is none."""

REMIND = 15
"""Checks without news after which a comment is sent, so that a closed connection is noticed."""


async def stream(request: Request) -> StreamingResponse:
    """Streams the changes of a run since the version that the page has."""
    live = await run_in_threadpool(request.app.state.shelf.open, request.path_params["run"])
    known = request.headers.get("last-event-id") or request.query_params.get("version", "0")
    since = int(known) if known.isdecimal() and len(known) < LONGEST else 0
    return StreamingResponse(_changes(live, since), media_type="text/event-stream")


async def _changes(live: LiveRun, since: int) -> AsyncIterator[str]:
    quiet = 0
    yield "retry: 2000\n\n"
    while True:
        try:
            news = await run_in_threadpool(_news, live, since)
        except DcdnasError as error:
            yield f"event: problem\ndata: {json.dumps(str(error))}\n\n"
            return
        if news:
            since, quiet = news["version"], 0
            yield f"id: {since}\nevent: change\ndata: {json.dumps(news, separators=(',', ':'))}\n\n"
        elif (quiet := quiet + 1) % REMIND == 0:
            yield ": still here\n\n"
        await asyncio.sleep(EVERY)


def _news(live: LiveRun, since: int) -> dict[str, Any]:
    """The changes since a version; empty when there are none."""
    live.refresh()
    return payload.payload(live, since) if live.version > since else {}
