"""A server over a folder of runs, real but for what the trainings gave."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from browsing import CHROMIUM
from synthetic import confirm, make_run

from dcdnas.core.dynamics import Attentions, Dynamics, Spread
from dcdnas.dashboard.app import make_app
from dcdnas.dashboard.security import TOKEN
from dcdnas.results.attention import write_attentions

SECRET = "a-token-for-tests"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str


@dataclass
class Site:
    """The server's address, and requests to it."""

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
        """Sends JSON, or bytes as they are."""
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
        """The lines of a stream as they come; closing the iterator closes the connection."""
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
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Runs of every kind: good, young, empty, damaged in each file, and one whose name is markup. Nobody writes to them."""
    root = tmp_path_factory.mktemp("site") / "runs"
    make_run(root / "good", 40)
    confirm(root / "good", 0, [0.80, 0.82])
    layers = (Dynamics("stage1", "odconv", (Spread("channel", 8, 1.0, 0.1), Spread("kernel", 2, 0.7, 0.2, 0.9)), 0.3),)
    write_attentions(root / "good", 1, Attentions("fashion-mini", 512, "trained again as in the search", 0.8, layers))
    make_run(root / "empty", 0, asked=10)
    make_run(root / "<b>&'\"x", 3)
    make_run(root / "no-memory", 1)
    (root / "no-memory" / "run.db").write_bytes(b"not a database" * 100)
    make_run(root / "no-config", 4)
    (root / "no-config" / "search.yaml").write_text("budgets: [", encoding="utf-8")
    (root.parent / "secret").mkdir()
    make_run(root.parent / "secret" / "outside", 1)
    (root / "link").symlink_to(root.parent / "secret" / "outside")
    yield from started(root)


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[Site]:
    """An empty folder of runs that the test may write to."""
    (tmp_path / "runs").mkdir()
    yield from started(tmp_path / "runs")


@pytest.fixture
def control_site(tmp_path: Path) -> Iterator[Site]:
    """A server that may be told to act by who has the token, over one run of 12 trials and a run outside its folder."""
    make_run(tmp_path / "runs" / "good", 12)
    make_run(tmp_path / "outside", 3)
    yield from started(tmp_path / "runs", SECRET)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; it is in the extra [dev]")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()
