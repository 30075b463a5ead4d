"""Runs a dashboard server in this process, and sends requests to it."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

from dcdnas.dashboard.app import make_app
from dcdnas.dashboard.security import TOKEN

SECRET = "a-token-for-tests"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str


@dataclass
class Site:
    """A running server: its port, and methods for requests."""

    port: int
    root: Path
    connections: list[http.client.HTTPConnection] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode("utf-8", "replace"))
        finally:
            connection.close()

    def post(self, path: str, content: object, token: str = "", **headers: str) -> Answer:
        """Sends an object as JSON, or bytes unchanged."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        sent = {"content-type": "application/json", TOKEN: token, **headers}
        try:
            connection.request("POST", path, body, {k: v for k, v in sent.items() if v})
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode())
        finally:
            connection.close()

    def events(self, path: str) -> Iterator[str]:
        """Yields the lines of a stream as they arrive; closing the iterator closes the connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            while True:
                yield answer.readline().decode()
        finally:
            connection.close()


def started(root: Path, token: str = "") -> Iterator[Site]:
    app = make_app(root, token=token)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=1, ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield Site(server.servers[0].sockets[0].getsockname()[1], root)
    server.should_exit = True  # takes up to a fifth of a second, which is not waited for
