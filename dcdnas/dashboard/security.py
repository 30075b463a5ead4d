"""Restricts access to the pages: checks the Host header, sets the security headers, and decides who may act.

A browser sends the host name of the address it opened in the Host header. Answering only to names of this machine protects
against sites that let their own name resolve to this machine (DNS rebinding). Everything a page needs comes from this server.

Pages only read. A server that was started with a token accepts POST requests too: each must carry the token in a header that
no page of another site can send here, and the origin that the browser reports must be this server.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}

TOKEN = "x-dcdnas-token"
"""The request header that carries the token."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def answered(host: str) -> frozenset[str]:
    """Lower-case host names that a server bound to `host` answers to.

    ``*`` stands for any IP address, which no DNS name can imitate.
    """
    if host in LOOPBACK:
        return frozenset(LOOPBACK)
    return frozenset({*LOOPBACK, *(name.lower() for name in (host, socket.gethostname(), socket.getfqdn())), "*"})


class Guard:
    """ASGI middleware that refuses unknown hosts, write methods, and actions without the token, and adds the security headers.

    Args:
        app: the application to protect.
        hosts: host names to answer to, see `answered`.
        token: that POST requests must carry; empty when they are all refused.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str], token: str = "") -> None:
        self.app, self.hosts, self.token = app, hosts, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Checks one request and passes it on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        await self._checked(scope)(scope, receive, _with_headers(send))

    def _checked(self, scope: Scope) -> ASGIApp:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not allowed(host, self.hosts):
            return PlainTextResponse(f"This server does not answer to the host {host!r}. Open it as 127.0.0.1.", 421)
        if scope["method"] == "POST":
            problem = may_not_act(headers, self.token)
            return JSONResponse({"said": problem}, 403) if problem else self.app
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("This dashboard only reads.", 405, {"allow": "GET, HEAD"})
        return self.app


def may_not_act(headers: Headers, token: str) -> str:
    """Why a request that would change something is refused; empty when it is permitted."""
    if not token:
        return "This dashboard only reads. Start it with --allow-control to stop and resume searches and to write notes."
    origin = headers.get("origin")
    foreign = origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
    if foreign or headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return "This request came from a page of another site, so it was refused."
    if not secrets.compare_digest(headers.get(TOKEN, "").encode(), token.encode()):
        return "The token is not the one that this server printed when it started."
    return ""


def allowed(host: str, names: Collection[str]) -> bool:
    """Whether a Host header, with or without a port, is one of the names."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name in names:
        return True
    if "*" not in names:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return sent
