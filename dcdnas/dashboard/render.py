"""Rendered templates as HTTP responses."""

from __future__ import annotations

from typing import Any

from starlette.responses import HTMLResponse

from dcdnas.pages.render import text


def html(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Renders a template as an HTML response."""
    return HTMLResponse(text(template, **values), status)
