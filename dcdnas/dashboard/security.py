"""What keeps the pages to the person who started them: the Host that is answered, and what a browser may do with a page.

A browser sends the name it was told in the Host header. Answering only to names of this machine stops pages of other sites
that have their own name point here (DNS rebinding). Everything a page needs comes from this server.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
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

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def answered(host: str) -> frozenset[str]:
    """The names that a server bound to `host` answers to; ``*`` stands for any address in digits, which no name can fake."""
    if host in LOOPBACK:
        return frozenset(LOOPBACK)
    return frozenset({*LOOPBACK, host, socket.gethostname(), socket.getfqdn(), "*"})


class Guard:
    """Refuses foreign hosts and all methods but those asked for; puts the headers on every answer.

    Args:
        app: what is guarded.
        hosts: names that are answered, see `answered`.
        methods: that are allowed at all.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str], methods: Collection[str] = ("GET", "HEAD")) -> None:
        self.app, self.hosts, self.methods = app, hosts, methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        await self._checked(scope)(scope, receive, _with_headers(send))

    def _checked(self, scope: Scope) -> ASGIApp:
        host = Headers(scope=scope).get("host", "")
        if not allowed(host, self.hosts):
            return PlainTextResponse(f"This server does not answer to the host {host!r}. Open it as 127.0.0.1.", 421)
        if scope["method"] not in self.methods:
            return PlainTextResponse("This dashboard only reads.", 405, {"allow": ", ".join(self.methods)})
        return self.app


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
                headers[name] = value
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return sent
