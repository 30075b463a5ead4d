"""A report opened from a file, without any server: the same pages, the same keys, nothing asked of anybody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import Visit, faults, needs_chromium, visiting
from synthetic import confirm, make_run

from dcdnas.pages.single_file import write_report
from dcdnas.results import Run, load_run

pytestmark = [pytest.mark.slow, needs_chromium]

PAGES = ("", "#/trials/0", "#/compare", "#/space", "#/failures", "#/trials/39")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("report") / "good"
    make_run(folder, 40)
    confirm(folder, 0, [0.80, 0.82])
    found = load_run(folder)
    write_report(found, folder / "report.html")
    return found


@pytest.fixture
def visit(browser: Any, run: Run) -> Iterator[Visit]:
    yield from visiting(browser, address(run), run.folder)


@pytest.fixture(params=["light", "dark"])
def coloured(browser: Any, run: Run, request: pytest.FixtureRequest) -> Iterator[Visit]:
    yield from visiting(browser, address(run), run.folder, color_scheme=request.param)


@pytest.fixture
def phone(browser: Any, run: Run) -> Iterator[Visit]:
    yield from visiting(browser, address(run), run.folder, viewport={"width": 420, "height": 800})


def address(run: Run) -> str:
    return Path(run.folder / "report.html").as_uri()


def shown(page: Any, path: str) -> None:
    page.wait_for_selector(f"html[data-shown='{path}']")


@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_no_fault(coloured: Visit, path: str) -> None:
    page = coloured.open(path)
    shown(page, path.removeprefix("#") or "/")
    assert page.locator("h1").count() == 1
    assert faults(page) == []


@pytest.mark.parametrize("path", PAGES)
def test_nothing_scrolls_sideways_on_a_phone(phone: Visit, path: str) -> None:
    page = phone.open(path)
    shown(page, path.removeprefix("#") or "/")
    assert page.evaluate("document.documentElement.scrollWidth") <= 420


def test_the_keys_lead_from_the_front_to_a_trial_its_layers_and_its_comparison(visit: Visit, run: Run) -> None:
    first = run.front()[0].number
    page = visit.open("")
    page.focus("#scatter")
    page.keyboard.press("Home")
    page.wait_for_selector(f"#card h2:has-text('Trial {first}')")
    assert page.locator("#card svg.mini rect").count() > 10
    page.keyboard.press("Enter")
    shown(page, f"/trials/{first}")
    page.focus(".layer")
    page.keyboard.press("End")
    assert page.text_content("#layer").startswith("classifier:")
    page.click("text=Compare with static network")
    shown(page, f"/compare?trials=0,{first}")
    assert page.locator("svg.strip").count() == 2
    assert page.get_attribute(".top nav a:has-text('Compare')", "aria-current") == "page"
    page.go_back()
    shown(page, f"/trials/{first}")


def test_the_table_sorts_and_finds_all_trials(visit: Visit, run: Run) -> None:
    page = visit.open("")
    assert page.text_content("#shown") == "40 of 40 trials"
    page.click("#trials button[data-key=flops]")
    least = min(run.trials, key=lambda t: (t.cost["flops"], t.number))
    assert page.locator("#trials tbody tr th a").first.text_content() == str(least.number)
    page.fill("#find", "refused")
    assert page.locator("#trials tbody tr").count() == sum(t.state == "refused" for t in run.trials)


def test_a_trial_that_the_file_does_not_hold_says_how_to_see_it(visit: Visit, run: Run) -> None:
    held = {t.number for t in run.front()} | {0}
    other = next(t.number for t in run.trials if t.number not in held and t.state == "finished")
    page = visit.open(f"#/trials/{other}")
    shown(page, f"/trials/{other}")
    assert page.text_content("h1") == f"Trial {other}"
    assert re.search(rf"dcdnas show \S*good --trial {other}\b", page.text_content("main"))


def test_a_config_is_downloaded_from_the_file(visit: Visit) -> None:
    page = visit.open("#/trials/0")
    shown(page, "/trials/0")
    with page.expect_download() as coming:
        page.click("text=Download config")
    assert coming.value.suggested_filename == "good-trial0.yaml"
    assert "mobilenetv2" in Path(coming.value.path()).read_text(encoding="utf-8")


def test_the_charts_are_drawn(visit: Visit) -> None:
    page = visit.open("")
    page.wait_for_selector("#importance .bar")
    page.click("#parallel-box summary")
    page.wait_for_selector("#parallel canvas")
    assert page.locator("#history path.line").count() == 1
    assert page.locator("#share rect").count() > 0
    assert page.evaluate("document.querySelector('#scatter canvas').width") > 100
