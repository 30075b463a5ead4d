"""Pages beside a search: there while it runs, gone with it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.error import URLError

import pytest
from synthetic import make_run

from dcdnas.dashboard.background import beside

LEFT_BEHIND = """\
import os, sys, time
from pathlib import Path
from dcdnas.dashboard.background import beside

if __name__ == "__main__":
    with beside(Path(sys.argv[1]), 0) as url:
        print(url, flush=True)
        sys.stdin.readline()
        os._exit(1)
"""


def fetched(url: str) -> str:
    """The page, as soon as the server answers; it listens from the start."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        return str(answer.read().decode())


def gone(url: str) -> bool:
    for _ in range(100):
        try:
            fetched(url)
        except (URLError, ConnectionError):
            return True
        time.sleep(0.1)
    return False


def test_the_pages_are_there_within_the_block_and_gone_after_it(tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "young", 3)
    with beside(tmp_path / "runs", 0) as url:
        assert 'href="/runs/young"' in fetched(url)
    assert gone(url)


@pytest.mark.slow
def test_a_port_that_is_taken_is_no_reason_to_fail(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with beside(tmp_path, taken) as url:
            assert f":{taken}/" not in url
            assert "dcdnas search" in fetched(url)


@pytest.mark.slow
def test_a_search_that_is_killed_leaves_no_server_behind(tmp_path: Path) -> None:
    script = tmp_path / "search.py"
    script.write_text(LEFT_BEHIND, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as search:
        assert search.stdin is not None
        assert search.stdout is not None
        url = search.stdout.readline().strip()
        assert "dcdnas search" in fetched(url)
        search.stdin.write("end\n")
        search.stdin.flush()
        assert search.wait(30) == 1
        assert gone(url)
