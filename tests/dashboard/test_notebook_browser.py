"""Pieces for notebooks in a real browser: their style touches nothing else, and words can be read in light and dark themes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import Visit, faults, needs_chromium, visiting
from synthetic import make_run

from dcdnas import load_run

pytestmark = [pytest.mark.slow, needs_chromium]

THEMES = {
    "system": "",
    "jupyterlab dark": "--jp-content-font-color1: rgba(255, 255, 255, 0.87); --jp-layout-color0: #111; background: #111",
    "vscode dark": "--vscode-editor-foreground: #d4d4d4; --vscode-editor-background: #1e1e1e; background: #1e1e1e",
}


@pytest.fixture(params=[(theme, scheme) for theme in THEMES for scheme in ("light", "dark")], ids="-".join)
def notebook(browser: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Visit]:
    theme, scheme = request.param
    make_run(tmp_path / "good", 30)
    run = load_run(tmp_path / "good")
    best = run.front()[-1].number
    pieces = (run._repr_html_(), run.trial(best).show().html, run.compare(best).html)
    head = '<!doctype html><html lang="en"><title>notebook</title><meta name="color-scheme" content="light dark">'
    outside = "<h1 class='dcdnas'>Notebook</h1><table id='outside' class='plain'><tr><td class='num'></td></tr></table>"
    page = f"{head}<body style='{THEMES[theme]}'><main>{outside}{''.join(pieces)}</main>"
    (tmp_path / "notebook.html").write_text(page, encoding="utf-8")
    yield from visiting(browser, (tmp_path / "notebook.html").as_uri(), tmp_path, color_scheme=scheme)


def test_a_piece_can_be_read_and_touches_nothing_else(notebook: Visit) -> None:
    page = notebook.open("")
    found = [fault for fault in faults(page) if fault[0] not in ("landmark-unique", "heading-order")]  # two pieces on one page
    assert found == []
    assert page.evaluate("getComputedStyle(document.querySelector('#outside td')).textAlign") == "start"
    assert page.evaluate("getComputedStyle(document.querySelector('.dcdnas td.num')).textAlign") == "right"
    assert page.evaluate("document.querySelectorAll('.strip rect').length") > 20
    colours = "[...document.querySelectorAll('.strip text.letters')].map((t) => getComputedStyle(t).fill)"
    assert page.evaluate(f"new Set({colours}).size") == 1
