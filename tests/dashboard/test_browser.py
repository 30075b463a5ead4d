"""The pages in a real browser: every interaction, no console message, no request to another host, no fault that axe finds."""

from __future__ import annotations

import random
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browsing import Visit, faults, needs_chromium, visiting
from serving import SECRET, Site
from synthetic import invent, make_run, outcome, put, with_weights_only

from dcdnas.core.geometry import Cost
from dcdnas.core.lock import FolderLock
from dcdnas.core.units import duration, percent, quantity, tally, units
from dcdnas.engine import signals
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.store import Store
from dcdnas.pages.importance import importances
from dcdnas.pages.payload import drawn_as
from dcdnas.results import Note, load_run, read_notes, write_note

pytestmark = [pytest.mark.slow, needs_chromium]

PAGES = ("/", "/runs/good", "/runs/good/trials/1", "/runs/good/compare?trials=0,1,2", "/runs/good/failures", "/runs/good/space",
         "/runs/good/live", "/runs/empty", "/runs/no-memory", "/runs/nothing")  # fmt: skip


@pytest.fixture
def visit(browser: Any, site: Site) -> Iterator[Visit]:
    yield from visiting(browser, site.url, site.root)


@pytest.fixture
def own_visit(browser: Any, own_site: Site) -> Iterator[Visit]:
    yield from visiting(browser, own_site.url, own_site.root)


@pytest.fixture
def control_visit(browser: Any, control_site: Site) -> Iterator[Visit]:
    yield from visiting(browser, control_site.url, control_site.root)


@pytest.fixture(params=["light", "dark"])
def coloured(browser: Any, site: Site, request: pytest.FixtureRequest) -> Iterator[Visit]:
    yield from visiting(browser, site.url, site.root, color_scheme=request.param)


@pytest.fixture
def phone(browser: Any, site: Site) -> Iterator[Visit]:
    yield from visiting(browser, site.url, site.root, viewport={"width": 420, "height": 800})


@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_no_fault(coloured: Visit, path: str) -> None:
    page = coloured.open(path)
    page.wait_for_timeout(300)
    assert faults(page) == []


@pytest.mark.parametrize("path", PAGES)
def test_nothing_scrolls_sideways_on_a_phone(phone: Visit, path: str) -> None:
    page = phone.open(path)
    assert page.evaluate("document.documentElement.scrollWidth") <= 420


def test_arrow_keys_walk_the_front_and_enter_opens(visit: Visit) -> None:
    front = [t.number for t in load_run(visit.root / "good").front()]
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
    number = min(t.number for t in load_run(visit.root / "good").front())
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
    scored = sum(t.score is not None for t in load_run(visit.root / "good").trials)
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


def test_what_is_below_a_lower_bound_is_shaded_on_either_axis(visit: Visit) -> None:
    def bounded(route: Any) -> None:
        sent = route.fetch().json()
        route.fulfill(json={**sent, "budgets": {"flops": [1.2e6, 2e6]}})

    visit.page.route("**/trials.json", bounded)
    page = visit.open("/runs/good")
    assert page.locator("#scatter .shade").count() == 2
    page.select_option("#axis-x", "params")
    page.select_option("#axis-y", "flops")
    boxes = [shade.bounding_box() for shade in page.locator("#scatter .shade").all()]
    below, above = sorted(boxes, key=lambda box: -box["y"])
    assert below["y"] + below["height"] > above["y"] + above["height"]
    assert below["y"] > page.locator("#scatter .budget").first.bounding_box()["y"]


def test_the_table_sorts_finds_and_filters(visit: Visit) -> None:
    trials = load_run(visit.root / "good").trials
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
    assert "none matches" in page.text_content("#shown")
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


def test_arrow_keys_lead_from_a_layer_to_the_same_place_of_the_next_network(visit: Visit) -> None:
    page = visit.open("/runs/good/compare?trials=0,1")
    page.focus(".strip >> nth=0 >> .layer >> nth=0")
    page.keyboard.press("End")
    page.keyboard.press("ArrowDown")
    assert page.text_content("#layer").startswith("classifier:")
    assert page.evaluate("[...document.querySelectorAll('.strip')].findIndex((s) => s.contains(document.activeElement))") == 1
    page.keyboard.press("ArrowUp")
    assert page.evaluate("[...document.querySelectorAll('.strip')].findIndex((s) => s.contains(document.activeElement))") == 0


def test_points_are_printed_where_their_axes_are(visit: Visit) -> None:
    page = visit.open("/runs/good")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 700, "height": 900})
    page.locator("#scatter").evaluate("(box) => { box.style.width = '420px'; }")
    page.wait_for_timeout(200)
    assert page.evaluate("getComputedStyle(document.querySelector('#scatter canvas')).objectFit") == "contain"
    hidden = ".top, .filters, .actions, .pages, .hint, details:not([open])"
    assert page.evaluate(f"[...document.querySelectorAll('{hidden}')].every((e) => !e.checkVisibility())")


def test_printed_strips_fit_the_page(visit: Visit) -> None:
    page = visit.open("/runs/good/trials/1")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 700, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= 700
    assert page.locator(".strip").bounding_box()["width"] <= 700


def test_nothing_moves_where_motion_is_not_wanted(visit: Visit) -> None:
    page = visit.open("/runs/good/trials/1")
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    moving = (
        "(e) => { const s = getComputedStyle(e); return s.animationName !== 'none' || parseFloat(s.transitionDuration) > 0; }"
    )
    assert page.evaluate(f"[...document.querySelectorAll('*')].filter({moving}).length") == 0


def test_the_decisions_are_drawn_side_by_side(visit: Visit) -> None:
    page = visit.open("/runs/good")
    page.wait_for_selector("#importance .bar")
    page.click("#parallel-box summary")
    page.wait_for_selector("#parallel canvas")
    assert page.locator("#parallel .axis").count() > 2


def test_points_have_the_colour_of_their_most_used_dynamic_operator_and_the_legend_says_so(visit: Visit) -> None:
    page = visit.open("/runs/good")
    trials = load_run(visit.root / "good").trials
    scored = {drawn_as(t) for t in trials if t.state in ("finished", "stopped")}
    first, *said, ring, hollow, pale = [text.strip() for text in page.locator("#scatter-legend li").all_inner_texts()]
    assert set(said) == {"all static" if name == "static" else name for name in scored}
    assert first == "Colour and shape: the operator with the most layers besides static"
    assert (ring, pale) == ("on the front by accuracy and FLOPs", "pale: over the budget")
    assert hollow == "hollow: stopped early, so evaluated after fewer epochs than the others"
    seen, meant = page.evaluate("""async () => {
      const rings = [...document.querySelectorAll('#scatter .ring')], canvas = document.querySelector('#scatter canvas');
      const sent = await (await fetch(document.body.dataset.base + '/trials.json')).json();
      const style = getComputedStyle(document.documentElement), mark = document.createElement('canvas').getContext('2d');
      const pixel = (context, x, y) => [...context.getImageData(x, y, 1, 1).data.slice(0, 3)].join();
      const meant = [...sent.front].sort((a, b) => a - b).map((n) => {
        mark.fillStyle = style.getPropertyValue('--op' + sent.operators[sent.rows[n][5]].index).trim();
        mark.fillRect(0, 0, 2, 2);
        return pixel(mark, 0, 0);
      });
      return [rings.map((r) => pixel(canvas.getContext('2d'), r.cx.baseVal.value, r.cy.baseVal.value)), meant];
    }""")
    assert seen == meant
    assert len(set(meant)) > 1
    visit.said[:] = [text for text in visit.said if "getImageData" not in text]  # Chromium's hint about this test's own readings


def test_logarithmic_scales_go_both_ways(visit: Visit) -> None:
    page = visit.open("/runs/good")
    page.select_option("#axis-x", "params")
    page.select_option("#axis-y", "flops")
    for box, axis in (("#log-x", "middle"), ("#log-y", "end")):
        plain = page.locator(f"#scatter .tick.{axis}").all_inner_texts()
        page.check(box)
        assert page.locator(f"#scatter .tick.{axis}").all_inner_texts() != plain
    assert page.locator("#scatter .budget").count() == 1


@pytest.mark.parametrize(("against", "title"), [("0", "Trainings that ended"), ("1", "Training time")])
@pytest.mark.parametrize("what", ["2", "3"])
def test_the_search_s_progress_ends_where_the_run_stands(visit: Visit, what: str, against: str, title: str) -> None:
    page = visit.open("/runs/good")
    page.select_option("#progress-y", what)
    page.select_option("#progress-x", against)
    assert title in page.text_content("#history svg")
    marks = page.locator("#history .tick.end").all()
    ticks = [(float(m.text_content()), float(m.get_attribute("y")) - 4) for m in marks]
    (low, at_low), (high, at_high) = ticks[0], ticks[-1]
    x, y = (float(v) for v in page.get_attribute("#history .line", "d").split("L")[-1].split())
    value = low + (y - at_low) / (at_high - at_low) * (high - low)
    last = load_run(visit.root / "good").history[-1]
    assert value == pytest.approx(100 * last.best if what == "3" else last.hypervolume, rel=0.005)
    width = page.locator("#history").bounding_box()["width"]
    assert width - 20 < x < width


def test_the_front_s_operators_are_shown_stage_by_stage(visit: Visit) -> None:
    page = visit.open("/runs/good")
    shown = set(page.locator("#share rect title").all_text_contents())
    front = load_run(visit.root / "good").front()
    used = Counter((slot.split(".")[0], c.operator) for t in front for slot, c in t.architecture.layers.items())
    of = Counter(stage for stage, _ in used.elements())
    assert shown == {f"{stage}: {name} {100 * n / of[stage]:.0f} %" for (stage, name), n in used.items()}


def test_what_a_decision_explains_is_what_the_server_says(visit: Visit) -> None:
    page = visit.open("/runs/good")
    page.wait_for_selector("#importance .bar")
    run = load_run(visit.root / "good")
    found = importances(run.trials, run.objective)
    ranked = found.decisions[:12]
    assert page.inner_text("#importance-said") == found.said
    assert page.locator("#importance .name").all_inner_texts() == [i.decision for i in ranked]
    for css, wanted in ((".share", [i.share for i in ranked]), (".chance", [i.chance for i in ranked])):
        widths = [float(bar.get_attribute("width")) for bar in page.locator(f"#importance {css}").all()]
        assert widths == pytest.approx([100 * share for share in wanted])
    said = page.locator("#importance .best").first.inner_text()
    best, mean, count = ranked[0].means[0]
    assert said == f"best mean: {100 * mean:.2f} % with {best} ({count} of {ranked[0].trials} trials)"


COUNT_STROKES = """() => {
  const drawn = CanvasRenderingContext2D.prototype, stroke = drawn.stroke;
  window.strokes = 0;
  drawn.stroke = function () { window.strokes++; stroke.call(this); };
}"""

EPOCHS_OF = """async (numbers) => {
  const { Trials } = await import('/assets/data.js');
  const trials = new Trials(await (await fetch(document.body.dataset.base + '/trials.json')).json());
  return numbers.map((number) => trials.epochs(trials.rows[number]));
}"""


def test_a_stopped_training_is_a_hollow_point_and_says_how_far_it_came(visit: Visit) -> None:
    page = visit.open("/runs/good")
    run = load_run(visit.root / "good")
    stopped = next(t for t in run.trials if t.state == "stopped")
    page.wait_for_selector("#importance .bar")
    page.evaluate(COUNT_STROKES)
    page.check("#log-y")
    assert page.evaluate("window.strokes") == run.counts["stopped"]
    assert page.evaluate(EPOCHS_OF, [stopped.number, 0]) == [" after 1 of 4 epochs", " after 4 epochs"]


def test_the_axis_of_a_latency_is_in_milliseconds_and_the_front_says_what_it_is_over(own_visit: Visit) -> None:
    make_run(own_visit.root / "timed", 16)
    store = Store(own_visit.root / "timed", "w")
    store.set_meta("bounds", {"accuracy": [0.1, 1.0], "latency": [1e5, 1e8], "flops": [1e4, 2e6]})
    for trial in store.trials():
        store.add(replace(trial, cost=Cost({**trial.cost.values, "latency": 3.6 * trial.cost["flops"]})))
    store.close()
    page = own_visit.open("/runs/timed")
    assert "Latency, ms" in page.text_content("#scatter svg")
    marks = page.locator("#scatter .tick.middle").all_text_contents()
    assert all(float(mark) < 100 for mark in marks)
    assert "on the front by accuracy, latency and FLOPs" in page.inner_text("#scatter-legend")
    assert "by accuracy, latency and FLOPs" in page.inner_text("[data-fact=front-detail]")


def test_refused_stopped_and_failed_are_counted(visit: Visit) -> None:
    page = visit.open("/runs/good")
    counts = load_run(visit.root / "good").counts
    assert page.inner_text("[data-fact=tally]") == tally(counts)
    for state, said in (("refused", "refused"), ("stopped", "stopped early"), ("failed", "failed")):
        page.select_option("#state", said)
        assert page.locator("#trials tbody tr").count() == counts[state] > 0


def test_numbers_are_written_as_the_server_writes_them(visit: Visit) -> None:
    page = visit.open("/runs/good")
    rng = random.Random(0)
    values = [
        0,
        16_000,
        16_040,
        1125,
        1135,
        999_499,
        999_500,
        999_999,
        2e6,
        5902,
        12.5,
        *(int(10 ** rng.uniform(0, 13)) for _ in range(2000)),
    ]
    times = [0.04, 4.25, 9.94, 9.95, 10.5, 11.5, 59.5, 60.5, 3600.5, 90_000.2, *(rng.uniform(0, 200) for _ in range(200))]
    code = "(values) => import('/assets/charts.js').then((m) => values.map((v) => m.duration(v)))"
    assert page.evaluate(code, times) == [duration(v) for v in times]
    parts = [0.50125, 0.0, 1.0, 0.00125, 0.00375, 0.99995, *(i / 1600 for i in range(1600))]
    code = "(values) => import('/assets/charts.js').then((m) => values.map((v) => m.percent(v)))"
    assert page.evaluate(code, parts) == [percent(v, 2) for v in parts]
    for metric in ("flops", "params", "weights", "latency", "another"):
        code = "([values, units]) => import('/assets/charts.js').then((m) => values.map((v) => m.short(v, units)))"
        written = page.evaluate(code, [values, units(metric)])
        assert written == [quantity(metric, v) for v in values]


@pytest.mark.parametrize("path", ["/runs/empty", "/runs/empty/compare", "/runs/empty/live"])
def test_a_page_without_trials_says_what_to_do_next(visit: Visit, path: str) -> None:
    page = visit.open(path)
    assert f"dcdnas resume {visit.root / 'empty'}" in page.inner_text("main")


def test_an_empty_table_does_not_blame_the_filters(visit: Visit) -> None:
    assert visit.open("/runs/empty").inner_text("#shown") == "0 of 0 trials: none has been tried yet"


def test_three_hundred_runs_are_listed_at_once(own_visit: Visit) -> None:
    make_run(own_visit.root / "run-0", 30)
    for i in range(1, 300):
        shutil.copytree(own_visit.root / "run-0", own_visit.root / f"run-{i}")
    used = time.process_time()
    page = own_visit.open("/")
    assert page.locator("#runs tbody tr").count() == 300
    assert time.process_time() - used < 3  # of the server, which is in this process; a busy machine does not stretch it
    page.fill("#find", "run-299")
    assert page.locator("#runs tbody tr:visible").count() == 1


def test_optuna_s_own_dashboard_shows_the_run_and_can_change_nothing(visit: Visit) -> None:
    page = visit.open("/runs/good")
    with page.context.expect_page() as opened:
        page.click("text=Optuna's own dashboard")
    optuna = opened.value
    optuna.on("pageerror", lambda error: visit.said.append(str(error)))
    optuna.on("request", lambda request: visit.asked.append(request.url))
    optuna.wait_for_selector("text=Pareto Front")
    assert (
        optuna.evaluate("fetch(location.pathname.replace('/dashboard', '/api'), {method: 'DELETE'}).then((a) => a.status)") == 405
    )
    optuna.reload()
    optuna.wait_for_selector("text=Pareto Front")


def test_the_runs_can_be_found_by_a_word(visit: Visit) -> None:
    page = visit.open("/")
    page.fill("#find", "damaged")
    assert page.locator("#runs tbody tr:visible").count() == 1


def test_a_new_trial_appears_without_moving_the_page(own_visit: Visit) -> None:
    folder = own_visit.root / "run"
    make_run(folder, 60, asked=100)
    page = own_visit.open("/runs/run")
    page.wait_for_selector("#connection.on")
    page.wait_for_selector("#importance .bar")  # which is fetched, and moves what is below it
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
    page.click("[data-toggles=starred]")
    page.fill("#token-given", "wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("#token-problem:has-text('not the one')")
    page.fill("#token-given", SECRET)
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-toggles=starred][aria-pressed=true]:has-text('★')")
    page.fill("#note", "wide <b>stem</b>")
    page.click("text=Save note")
    page.wait_for_selector("#control-said:has-text('Saved.')")
    assert read_notes(control_visit.root / "good") == {3: Note(True, "wide <b>stem</b>")}
    page = control_visit.open("/runs/good")
    page.check("#starred")
    assert page.locator("#trials tbody tr").count() == 1
    assert "wide <b>stem</b>" in page.inner_text("#trials tbody tr")
    page.uncheck("#starred")
    page.fill("#find", "stem")
    assert page.locator("#trials tbody th a").all_inner_texts() == ["3"]


def test_an_action_at_which_the_server_fails_says_so(control_visit: Visit) -> None:
    page = control_visit.open("/runs/good/trials/3")
    page.route("**/note", lambda route: route.fulfill(status=500, content_type="text/html", body="<h1>This page failed</h1>"))
    page.click("[data-toggles=starred]")
    if page.locator("#token-given").is_visible():
        page.fill("#token-given", SECRET)
        page.keyboard.press("Enter")
    page.wait_for_selector("#control-said.bad:has-text('The server could not do it (status 500).')")
    control_visit.said.clear()  # the browser itself notes the status


def test_a_picked_trial_is_starred_on_the_run_s_page(control_visit: Visit) -> None:
    page = control_visit.open("/runs/good")
    page.wait_for_selector("#connection.on")
    page.click("#card [data-toggles=starred]")
    page.fill("#token-given", SECRET)
    page.keyboard.press("Enter")
    page.wait_for_selector("#card [aria-pressed=true]")
    (number,) = read_notes(control_visit.root / "good")
    page.wait_for_selector(f"#trials tr[data-number='{number}'] .star")


def test_a_star_given_elsewhere_appears_on_an_open_page(control_visit: Visit) -> None:
    page = control_visit.open("/runs/good")
    page.wait_for_selector("#connection.on")
    assert page.locator("#trials th.noted").is_hidden()
    write_note(control_visit.root / "good", 0, True, "the reference")
    page.wait_for_selector("#trials tr[data-number='0'] .star")
    assert page.inner_text("#trials tr[data-number='0'] td.noted") == "the reference"


def test_a_search_is_stopped_from_its_page(control_visit: Visit) -> None:
    folder = control_visit.root / "good"
    with FolderLock(folder):
        page = control_visit.open("/runs/good")
        assert page.locator("text=Continue the search").is_hidden()
        page.click("text=Stop now")
        page.fill("#token-given", SECRET)
        page.keyboard.press("Enter")
        page.wait_for_selector("#control-said:has-text('will stop at once')")
        assert signals.requested(folder).now
    page.wait_for_selector("text=Continue the search")
    assert page.locator("text=Stop now").is_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/runs/good", "/runs/good/trials/3"])
def test_axe_finds_no_fault_in_what_acts(browser: Any, control_site: Site, scheme: str, path: str) -> None:
    write_note(control_site.root / "good", 3, True, "a note")
    for visit in visiting(
        browser, control_site.url, control_site.root, color_scheme=scheme, viewport={"width": 420, "height": 800}
    ):
        page = visit.open(path)
        page.locator("[data-send]:visible").first.click()
        page.wait_for_selector("#token[open]")
        for _ in range(2):  # with the dialog open, and without it
            assert faults(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= 420
            page.keyboard.press("Escape")


def test_bytes_are_written_as_the_server_writes_them(own_visit: Visit) -> None:
    with_weights_only(own_visit.root)
    page = own_visit.open("/runs/bytes")
    assert page.locator("#axis-x option:checked").inner_text() == "Weights"
    cell = page.locator("#trials tbody tr").first.inner_text()
    assert re.search(r"\d [KM]iB", cell), cell
