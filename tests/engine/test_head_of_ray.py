"""Whether the head of a Ray cluster still answers, without a Ray."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest


@pytest.mark.parametrize("family", ["127.0.0.1", "[127.0.0.1]"])
def test_a_head_that_does_not_answer_for_long_is_lost(monkeypatch: pytest.MonkeyPatch, family: str) -> None:
    from dcdnas.engine.executors.ray import _head

    now = [100.0]
    monkeypatch.setattr(_head.time, "monotonic", lambda: now[0])
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"{family}:{server.getsockname()[1]}"
        monkeypatch.setattr(_head.ray, "get_runtime_context", lambda: SimpleNamespace(gcs_address=address))
        head = _head.Head()
        for _ in range(20):
            now[0] += 3
            head.check()
    now[0] += _head.PATIENCE - 1
    head.check()
    now[0] += _head.PERIOD
    with pytest.raises(_head.HeadLostError, match="has not answered for 20 seconds"):
        head.check()


def test_it_is_not_asked_at_each_look(monkeypatch: pytest.MonkeyPatch) -> None:
    from dcdnas.engine.executors.ray import _head

    asked: list[object] = []
    monkeypatch.setattr(_head.ray, "get_runtime_context", lambda: SimpleNamespace(gcs_address="127.0.0.1:1"))
    monkeypatch.setattr(_head.socket, "create_connection", lambda *place, **_: asked.append(place) or socket.socket())
    head = _head.Head()
    for _ in range(100):
        head.check()
    assert asked == []
