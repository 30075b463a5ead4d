"""A real browser that records the console messages and the requests of a page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; `apt-get install chromium` brings it")


@dataclass
class Visit:
    """A browser page with its console messages and requests."""

    page: Any
    url: str
    root: Path
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def open(self, path: str) -> Any:
        self.page.goto(self.url + path)
        if self.page.locator("#scatter").count():
            self.page.wait_for_selector("html[data-ready]")
        return self.page


def visiting(browser: Any, url: str, root: Path, **options: Any) -> Iterator[Visit]:
    """Yields a new page; afterwards asserts that it wrote nothing to the console and requested nothing from other servers."""
    context = browser.new_context(reduced_motion="reduce", **{"viewport": {"width": 1360, "height": 900}, **options})
    visit = Visit(context.new_page(), url, root)
    visit.page.on("console", lambda message: visit.said.append(message.text))
    visit.page.on("pageerror", lambda error: visit.said.append(str(error)))
    visit.page.on("request", lambda request: visit.asked.append(request.url))
    yield visit
    context.close()
    assert [text for text in visit.said if "404" not in text and "403" not in text] == []
    assert [asked for asked in visit.asked if not asked.startswith((url, "data:"))] == []


def faults(page: Any) -> list[Any]:
    """Accessibility violations that axe finds on a page: rule and elements."""
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    assert len(found["passes"]) > 5
    return [(v["id"], [n["target"] for n in v["nodes"]]) for v in found["violations"]]
