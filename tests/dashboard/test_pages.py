from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
import yaml
from serving import Site
from synthetic import confirm, make_run, with_weights_only

from dcdnas.core.architecture import Architecture
from dcdnas.core.dynamics import Attentions, Course, Dynamics, Evolution, LayerCourse, Spread
from dcdnas.core.lock import FolderLock
from dcdnas.pages.course import described, stretches
from dcdnas.pages.payload import drawn_as
from dcdnas.results import load_run
from dcdnas.results.attention import write_attentions

PAGES = ("", "/failures", "/live", "/space", "/compare", "/trials/0", "/trials/0/card")


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("run", ["good", "no-config", "%3Cb%3E&'%22x"])
def test_every_page_of_every_readable_run_is_there(site: Site, run: str, page: str) -> None:
    assert site.get(f"/runs/{run}{page}").status == 200


@pytest.mark.parametrize("page", ["", "/failures", "/live", "/space", "/compare"])
def test_a_run_without_trials_says_what_to_do(site: Site, page: str) -> None:
    answer = site.get(f"/runs/empty{page}")
    assert answer.status == 200
    if page == "":
        assert f"dcdnas resume {site.root / 'empty'}" in answer.text


def test_the_list_shows_every_run_and_what_is_wrong_with_damaged_ones(site: Site) -> None:
    text = site.get("/").text
    for name in ("good", "empty", "no-memory", "no-config"):
        assert f'href="/runs/{name}"' in text
    assert "damaged" in text.lower()
    assert "Restore it from a copy" in text


def test_an_empty_folder_says_how_to_begin(own_site: Site) -> None:
    assert "dcdnas search -b 2MFLOPs" in own_site.get("/").text


def test_a_damaged_run_has_a_page_that_says_why(site: Site) -> None:
    answer = site.get("/runs/no-memory")
    assert answer.status == 404
    assert "damaged" in answer.text
    assert "Traceback" not in answer.text


def test_a_mistyped_run_gets_the_nearest_name(site: Site) -> None:
    answer = site.get("/runs/goood")
    assert answer.status == 404
    assert "Did you mean &#39;good&#39;?" in answer.text


@pytest.mark.parametrize("number", ["40", "4000000000000000000000"])
def test_a_trial_that_is_not_there_says_so(site: Site, number: str) -> None:
    answer = site.get(f"/runs/good/trials/{number}")
    assert answer.status == 404
    assert "has no trial" in answer.text


def test_a_number_too_long_to_be_one_is_no_page_of_a_trial(site: Site) -> None:
    answer = site.get(f"/runs/good/trials/{'1' * 5000}")
    assert answer.status == 404
    assert "There is no such page" in answer.text


def test_the_rows_are_the_trials_of_the_run(site: Site) -> None:
    sent = json.loads(site.get("/runs/good/trials.json").text)
    run = load_run(site.root / "good")
    assert [row[0] for row in sent["rows"]] == [t.number for t in run.trials]
    assert [row[2] for row in sent["rows"]] == [t.score.values["accuracy"] if t.score else None for t in run.trials]
    flops = 10 + sent["metrics"].index("flops")
    assert [row[flops] for row in sent["rows"]] == [t.cost["flops"] for t in run.trials]
    assert sent["front"] == [t.number for t in run.front()]
    assert sent["history"][-1][2] == pytest.approx(run.hypervolume, abs=1e-5)
    assert sent["budgets"] == {"flops": [0.0, 2e6]}


def test_the_tiles_say_what_the_run_says(site: Site) -> None:
    run = load_run(site.root / "good")
    text = site.get("/runs/good").text
    assert run.best is not None
    accuracy = run.value(run.best)
    assert accuracy is not None
    assert f'data-fact="best">{100 * accuracy:.1f} %<' in text
    assert "mean of 2 fresh seeds" in text
    assert f'data-fact="volume">{run.hypervolume:.3f}<' in text


def test_a_downloaded_config_is_the_trial_s_network(site: Site) -> None:
    run = load_run(site.root / "good")
    answer = site.get("/runs/good/trials/3/config.yaml")
    content = yaml.safe_load(answer.text)
    assert Architecture.from_dict(content["dcdnas"]) == run.trials[3].architecture
    assert answer.headers["content-disposition"] == 'attachment; filename="good-trial3.yaml"'
    assert content["dcdnas"]["provenance"]["trial"] == 3


def test_a_trial_is_compared_with_the_static_network_by_itself(site: Site) -> None:
    assert "Compare trials 0, 3" in site.get("/runs/good/compare?trials=3").text


def test_at_most_four_trials_are_compared(site: Site) -> None:
    assert "<h1>Compare trials 0, 1, 2, 3</h1>" in site.get("/runs/good/compare?trials=0,1,2,3,4,5").text


def test_a_comparison_of_no_numbers_says_what_to_write(site: Site) -> None:
    answer = site.get("/runs/good/compare?trials=first")
    assert answer.status == 404
    assert "trials=0,12" in answer.text


def test_the_layers_that_differ_are_outlined(site: Site) -> None:
    assert 'class="layer differs"' not in site.get("/runs/good/compare?trials=0").text.split("<h3>Trial 0")[1].split("<h3>")[0]
    assert 'class="layer differs"' in site.get("/runs/good/compare?trials=0,1").text


def test_names_and_reasons_cannot_become_markup(site: Site) -> None:
    for path in ("/", "/runs/%3Cb%3E&'%22x", "/runs/%3Cb%3E&'%22x/trials/0"):
        text = site.get(path).text
        assert "<b>&" not in text
        assert "&lt;b&gt;&amp;" in text


def test_no_page_has_a_script_or_style_in_it(site: Site) -> None:
    for page in PAGES:
        text = site.get(f"/runs/good{page}").text
        scripts = re.findall(r"<script(?![^>]*(?:src=|application/json))", text)
        assert not scripts
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)


def test_every_link_of_a_page_leads_somewhere(site: Site) -> None:
    followed: set[str] = set()
    for page in ("", "/failures", "/live", "/space", "/compare", "/trials/1"):
        text = site.get(f"/runs/good{page}").text
        links = {m.split("#")[0] for m in re.findall(r'(?:href|src)="(/[^"]*)"', text)}
        assert len(links) > 3
        links, followed = links - followed, followed | links
        for link in links:
            assert site.get(link.replace("&amp;", "&")).status == (303 if link.endswith("/optuna") else 200), link


def test_starting_imports_nothing_heavy() -> None:
    code = "import sys, dcdnas.dashboard.app, dcdnas.cli.dashboard; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "ray", "fvcore", "optuna", "pandas", "matplotlib"} & set(loaded)
    assert "starlette" in loaded


def test_a_fault_of_ours_is_a_page_with_the_security_headers(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(*given: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("dcdnas.pages.advice.failures", fault)
    answer = site.get("/runs/good/failures")
    assert answer.status == 500
    assert "by zero" in answer.text
    assert "content-security-policy" in answer.headers


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_no_page_takes_it_for_granted_that_flops_were_counted(own_site: Site, page: str) -> None:
    with_weights_only(own_site.root)
    answer = own_site.get(f"/runs/bytes{page}")
    assert answer.status == 200
    if page in ("", "/live", "/compare", "/trials/0"):
        assert "Weights" in answer.text
        assert "KiB" in answer.text


def test_the_layers_are_listed_in_the_run_s_own_metric_too(own_site: Site) -> None:
    with_weights_only(own_site.root)
    text = own_site.get("/runs/bytes/trials/0").text
    table = text[text.index('aria-label="Layers as a table"') : text.index("Learning curve")]
    assert '<th scope="col" class="num">Weights</th>' in table
    assert re.search(r'<td class="num">[\d.]+ (?:KiB|B)</td></tr>', table)


def test_metrics_come_with_their_headings(own_site: Site) -> None:
    with_weights_only(own_site.root)
    sent = json.loads(own_site.get("/runs/bytes/trials.json").text)
    assert sent["metrics"] == ["weights"]
    assert sent["titles"] == {"weights": "Weights"}
    assert sent["objective"] == "weights"


def test_attentions_are_shown_where_they_were_measured(own_site: Site) -> None:
    make_run(own_site.root / "run", 12)
    trials = load_run(own_site.root / "run").trials
    number = next(t.number for t in trials if t.score and drawn_as(t) != "static")
    page = f"/runs/run/trials/{number}"
    assert f"dcdnas attention {own_site.root / 'run'} --trial {number}" in own_site.get(page).text
    layers = (Dynamics("<stem>", "dyconv", (Spread("kernel", 4, 0.25, 0.123, 0.9), Spread("x", 1, 0.0, None)), 0.5),)
    course = Course(
        (1.0, 2.5, 4.0),
        (LayerCourse("<stem>", {"kernel": (0.0, 0.05, 0.125), "x": (None, 0.1, None)}, Evolution("settles", 3, 0.9, 1.84)),),
        Evolution("oscillates", 3, 0.8, None, 4.0),
    )
    write_attentions(own_site.root / "run", number, Attentions("some-data", 40, "of a file", 0.8, layers, course))
    text = own_site.get(page).text
    assert f"dcdnas attention {own_site.root / 'run'} --trial {number}" not in text
    for said in ("40 validation images of some-data", "of a file", "80.0 %", "&lt;stem&gt;", "12.3 %", "0.900", "50.0 %"):
        assert said in text
    for said in (
        "settles with a half-life of 1.8 epochs",
        "oscillates with a period of 4 epochs",
        "3 readings, from epoch 1 to 4",
    ):
        assert said in text
    assert 'aria-label="&lt;stem&gt;, kernel: spread from 0.0 % to 12.5 %, least 0.0 %, largest 12.5 %"' in text
    assert '<polyline points="2.0,18.0 75.0,11.6 148.0,2.0"/>' in text


def test_a_curve_ends_where_it_has_no_value_and_is_low_where_it_hardly_changes() -> None:
    assert stretches([0.0, 0.2, None, 0.1, None]) == ["2.0,18.0 38.5,2.0", "111.5,10.0"]
    assert stretches([0.5, 0.5004]) == ["2.0,18.0 148.0,18.0"]
    assert stretches([None, None]) == []
    assert described("a", "b", [None]) == "a, b: no spread"


def test_a_training_that_nobody_goes_on_with_is_not_called_in_training(own_site: Site) -> None:
    with_weights_only(own_site.root)
    text = own_site.get("/runs/bytes/live?piece=1").text
    assert "Trainings that were running when the search stopped" in text
    with FolderLock(own_site.root / "bytes"):
        text = own_site.get("/runs/bytes/live?piece=1").text
    assert "<h2>Running trainings</h2>" in text


def test_a_comparison_says_how_far_the_confirmed_means_are_apart(own_site: Site) -> None:
    make_run(own_site.root / "good", 6)
    finished = [t.number for t in load_run(own_site.root / "good").trials if t.state == "finished" and t.number]
    confirm(own_site.root / "good", 0, [0.80, 0.82])
    confirm(own_site.root / "good", finished[0], [0.83, 0.85])
    text = own_site.get(f"/runs/good/compare?trials={finished[0]}").text
    assert "84.00 % ± 1.41" in text
    assert "against trial 0: +3.0 points over 2 shared seeds (95 %: +3.0 to +3.0)." in text
