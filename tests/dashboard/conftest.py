"""Fixtures: servers over folders of runs, which are real except for the results of the trainings."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import CHROMIUM
from serving import SECRET, Site, started
from synthetic import confirm, make_run

from dcdnas.core.dynamics import Attentions, Course, Dynamics, Evolution, LayerCourse, Spread
from dcdnas.results.attention import write_attentions


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server over runs of many kinds: good, empty, damaged in each file, and one whose name is markup. Tests only read it."""
    root = tmp_path_factory.mktemp("site") / "runs"
    make_run(root / "good", 40)
    confirm(root / "good", 0, [0.80, 0.82])
    layers = (Dynamics("stage1", "odconv", (Spread("channel", 8, 1.0, 0.1), Spread("kernel", 2, 0.7, 0.2, 0.9)), 0.3),)
    settles = Evolution("settles", 3, 0.9, 1.8)
    course = Course((1, 2, 3), (LayerCourse("stage1", {"channel": (0, 0.09, 0.1), "kernel": (0, 0.1, 0.2)}, settles),), settles)
    write_attentions(root / "good", 1, Attentions("fashion-mini", 512, "trained again as in the search", 0.8, layers, course))
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
    """A server over an empty folder of runs that the test may write to."""
    (tmp_path / "runs").mkdir()
    yield from started(tmp_path / "runs")


@pytest.fixture(scope="session")
def controlled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of 12 trials in the folder of runs, and a run outside of it; tests copy it."""
    folder = tmp_path_factory.mktemp("controlled")
    make_run(folder / "runs" / "good", 12)
    make_run(folder / "outside", 3)
    return folder


@pytest.fixture
def control_site(tmp_path: Path, controlled: Path) -> Iterator[Site]:
    """A server over a copy of `controlled`, with control requests enabled for clients that have the token."""
    shutil.copytree(controlled, tmp_path, dirs_exist_ok=True)
    yield from started(tmp_path / "runs", SECRET)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A Chromium browser."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; it is in the extra [dev]")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()
