"""The pages in a real browser: every interaction, no console message, no request to another host, no fault that axe finds."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from conftest import SECRET, Site
from synthetic import invent, make_run, outcome, put, with_weights_only

from dcdnas.engine import control
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.lock import RunLock
from dcdnas.engine.store import Store
from dcdnas.report import Note, load_run, read_notes, write_note

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; `apt-get install chromium` brings it"),
]

PAGES = ("/", "/runs/good", "/runs/good/trials/1", "/runs/good/compare?trials=0,1,2", "/runs/good/failures", "/runs/good/space",
         "/runs/good/live", "/runs/empty", "/runs/no-memory", "/runs/nothing")  # fmt: skip


@dataclass
class Visit:
    """A browser page with all that it said and asked for."""

    page: Any
    site: Site
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def open(self, path: str) -> Any:
        self.page.goto(self.site.url + path)
        if self.page.locator("#scatter").count():
            self.page.wait_for_selector("html[data-ready]")
        return self.page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; it is in the extra [dev]")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


def visiting(browser: Any, site: Site, **options: Any) -> Iterator[Visit]:
    context = browser.new_context(reduced_motion="reduce", **{"viewport": {"width": 1360, "height": 900}, **options})
    visit = Visit(context.new_page(), site)
    visit.page.on("console", lambda message: visit.said.append(message.text))
    visit.page.on("pageerror", lambda error: visit.said.append(str(error)))
    visit.page.on("request", lambda request: visit.asked.append(request.url))
    yield visit
    context.close()
    assert [text for text in visit.said if "404" not in text and "403" not in text] == []
    assert [url for url in visit.asked if not url.startswith(site.url)] == []


@pytest.fixture
def visit(browser: Any, site: Site) -> Iterator[Visit]:
    yield from visiting(browser, site)


@pytest.fixture
def own_visit(browser: Any, own_site: Site) -> Iterator[Visit]:
    yield from visiting(browser, own_site)


@pytest.fixture
def control_visit(browser: Any, control_site: Site) -> Iterator[Visit]:
    yield from visiting(browser, control_site)


@pytest.fixture(params=["light", "dark"])
def coloured(browser: Any, site: Site, request: pytest.FixtureRequest) -> Iterator[Visit]:
    yield from visiting(browser, site, color_scheme=request.param)


@pytest.fixture
def phone(browser: Any, site: Site) -> Iterator[Visit]:
    yield from visiting(browser, site, viewport={"width": 420, "height": 800})


@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_no_fault(coloured: Visit, path: str) -> None:
    page = coloured.open(path)
    page.wait_for_timeout(300)
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    assert [(v["id"], [n["target"] for n in v["nodes"]]) for v in found["violations"]] == []
    assert len(found["passes"]) > 5


@pytest.mark.parametrize("path", PAGES)
def test_nothing_scrolls_sideways_on_a_phone(phone: Visit, path: str) -> None:
    page = phone.open(path)
    assert page.evaluate("document.documentElement.scrollWidth") <= 420


def test_arrow_keys_walk_the_front_and_enter_opens(visit: Visit) -> None:
    front = [t.number for t in load_run(visit.site.root / "good").front()]
    page = visit.open("/runs/good")
    page.focus("#scatter")
    page.keyboard.press("Home")
    page.wait_for_selector(f"#card h2:has-text('Trial {front[0]}')")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(f"#card h2:has-text('Trial {front[1]}')")
    assert f"Trial {front[1]}:" in page.text_content("#scatter-said")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/trials/{front[1]}")


def test_a_click_picks_a_point(visit: Visit) -> None:
    page = visit.open("/runs/good")
    ring = page.locator("#scatter .ring").first
    number = min(t.number for t in load_run(visit.site.root / "good").front())
    ring.scroll_into_view_if_needed()
    box = ring.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector(f"#card h2:has-text('Trial {number}')")


def test_a_frame_around_points_filters_the_table(visit: Visit) -> None:
    page = visit.open("/runs/good")
    box = page.locator("#scatter").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 12)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 50, steps=4)
    page.mouse.up()
    inside = int(re.match(r"\d+", page.text_content("#shown"))[0])
    scored = sum(t.score is not None for t in load_run(visit.site.root / "good").trials)
    assert 0 < inside < scored
    assert page.locator("#trials tbody tr").count() == inside
    page.click("#unbrush")
    assert page.text_content("#shown").startswith("40 of 40")


def test_any_two_numbers_can_be_the_axes(visit: Visit) -> None:
    page = visit.open("/runs/good")
    assert page.locator("#scatter .front").count() == 1
    page.select_option("#axis-x", "params")
    page.check("#log-x")
    page.select_option("#axis-y", "flops")
    assert "Parameters" in page.text_content("#scatter svg")
    assert page.locator("#scatter .front").count() == 0
    assert page.locator("#scatter .budget").count() == 1


def test_the_table_sorts_finds_and_filters(visit: Visit) -> None:
    trials = load_run(visit.site.root / "good").trials
    page = visit.open("/runs/good")
    first = page.locator("#trials tbody tr th a").first
    page.click("#trials button[data-key=flops]")
    assert first.text_content() == str(min(trials, key=lambda t: (t.cost["flops"], t.number)).number)
    page.click("#trials button[data-key=flops]")
    assert page.get_attribute("#trials th:has(button[data-key=flops])", "aria-sort") == "descending"
    page.fill("#find", "refused")
    refused = sum(t.state == "refused" for t in trials)
    assert page.locator("#trials tbody tr").count() == refused > 0
    page.check("#within")
    assert "nothing fits" in page.text_content("#shown")
    page.uncheck("#within")
    page.fill("#find", "7")
    assert page.locator("#trials tbody tr").count() == 1


def test_two_to_four_ticked_trials_are_compared(visit: Visit) -> None:
    page = visit.open("/runs/good")
    boxes = page.locator("#trials tbody input")
    boxes.nth(0).check()
    assert page.get_attribute("#compare", "href") is None
    for i in (1, 2, 3):
        boxes.nth(i).check()
    assert boxes.nth(4).is_disabled()
    page.click("#compare")
    page.wait_for_selector("h1:has-text('Compare trials')")
    assert page.locator("svg.strip").count() == 4


def test_arrow_keys_walk_the_layers(visit: Visit) -> None:
    page = visit.open("/runs/good/trials/1")
    page.focus(".layer")
    assert page.text_content("#layer").startswith("stem:")
    page.keyboard.press("ArrowRight")
    assert page.text_content("#layer").startswith("stage1.block1.")
    page.keyboard.press("End")
    assert page.text_content("#layer").startswith("classifier:")


def test_the_decisions_are_drawn_side_by_side(visit: Visit) -> None:
    page = visit.open("/runs/good")
    page.wait_for_selector("#importance meter")
    page.click("#parallel-box summary")
    page.wait_for_selector("#parallel canvas")
    assert page.locator("#parallel .axis").count() > 2


def test_the_runs_can_be_found_by_a_word(visit: Visit) -> None:
    page = visit.open("/")
    page.fill("#find", "damaged")
    assert page.locator("#runs tbody tr:visible").count() == 1


def test_a_new_trial_appears_without_moving_the_page(own_visit: Visit) -> None:
    folder = own_visit.site.root / "run"
    make_run(folder, 60, asked=100)
    page = own_visit.open("/runs/run")
    page.wait_for_selector("#connection.on")
    page.locator("#find").scroll_into_view_if_needed()
    page.focus("#find")
    before = page.evaluate("[scrollY, document.querySelector('#find').getBoundingClientRect().top]")
    add(folder)
    page.wait_for_selector("#shown:has-text('of 61')")
    assert page.evaluate("[scrollY, document.querySelector('#find').getBoundingClientRect().top]") == before
    assert page.evaluate("document.activeElement.id") == "find"


def add(folder: Path) -> None:
    """Writes one more finished trial within the budget."""
    config = SearchConfig.read(folder / "search.yaml")
    number = len(load_run(folder).trials)
    trial = next(iter(invent(config.build_space(), config, 1, seed=1, first=0)))
    store = Store(folder, "w")
    put(store, outcome(replace(trial, number=number, origin="tpe"), 4, random.Random(0)))
    store.close()


def test_a_star_asks_for_the_token_once_and_filters_the_table(control_visit: Visit) -> None:
    page = control_visit.open("/runs/good/trials/3")
    page.click("#star")
    page.fill("#token-given", "wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("#token-problem:has-text('not the one')")
    page.fill("#token-given", SECRET)
    page.keyboard.press("Enter")
    page.wait_for_selector("#star[aria-pressed=true]:has-text('★')")
    page.fill("#note", "wide <b>stem</b>")
    page.click("text=Keep note")
    page.wait_for_selector("#control-said:has-text('Kept.')")
    assert read_notes(control_visit.site.root / "good") == {3: Note(True, "wide <b>stem</b>")}
    page = control_visit.open("/runs/good")
    page.check("#starred")
    assert page.locator("#trials tbody tr").count() == 1
    assert "wide <b>stem</b>" in page.inner_text("#trials tbody tr")
    page.uncheck("#starred")
    page.fill("#find", "stem")
    assert page.locator("#trials tbody th a").all_inner_texts() == ["3"]


def test_a_star_given_elsewhere_appears_on_an_open_page(control_visit: Visit) -> None:
    page = control_visit.open("/runs/good")
    page.wait_for_selector("#connection.on")
    assert page.locator("#trials th.noted").is_hidden()
    write_note(control_visit.site.root / "good", 0, True, "the reference")
    page.wait_for_selector("#trials tr[data-number='0'] .star")
    assert page.inner_text("#trials tr[data-number='0'] td.noted") == "the reference"


def test_a_search_is_stopped_from_its_page(control_visit: Visit) -> None:
    folder = control_visit.site.root / "good"
    with RunLock(folder):
        page = control_visit.open("/runs/good")
        assert page.locator("text=Search on").is_hidden()
        page.click("text=Stop now")
        page.fill("#token-given", SECRET)
        page.keyboard.press("Enter")
        page.wait_for_selector("#control-said:has-text('will stop at once')")
        assert control.requested(folder).now
    page.wait_for_selector("text=Search on")
    assert page.locator("text=Stop now").is_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/runs/good", "/runs/good/trials/3"])
def test_axe_finds_no_fault_in_what_acts(browser: Any, control_site: Site, scheme: str, path: str) -> None:
    write_note(control_site.root / "good", 3, True, "a note")
    for visit in visiting(browser, control_site, color_scheme=scheme, viewport={"width": 420, "height": 800}):
        page = visit.open(path)
        page.locator("[data-send]:visible").first.click()
        page.wait_for_selector("#token[open]")
        page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
        for _ in range(2):  # with the dialog open, and without it
            found = page.evaluate("axe.run({resultTypes: ['violations']})")
            assert [(v["id"], [n["target"] for n in v["nodes"]]) for v in found["violations"]] == []
            assert page.evaluate("document.documentElement.scrollWidth") <= 420
            page.keyboard.press("Escape")


def test_bytes_are_written_as_the_server_writes_them(own_visit: Visit) -> None:
    with_weights_only(own_visit.site.root)
    page = own_visit.open("/runs/bytes")
    assert page.locator("#axis-x option:checked").inner_text() == "Weights"
    cell = page.locator("#trials tbody tr").first.inner_text()
    assert re.search(r"\d [KM]iB", cell), cell
