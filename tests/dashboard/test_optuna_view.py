"""Optuna's dashboard behind ours: it sees a copy, and only reading reaches it."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from serving import SECRET, Answer, Site
from synthetic import make_run

from dcdnas.core.trial import Score
from dcdnas.engine.optuna_copy import Copies
from dcdnas.results import Run, load_run


@pytest.fixture
def made(tmp_path: Path) -> Run:
    make_run(tmp_path / "run", 60)
    return load_run(tmp_path / "run")


def copied(copies: Copies, run: Run) -> optuna.Study:
    copies.put(run.name, run.trials, run.budgets, run.goals)
    return optuna.load_study(study_name=run.name, storage=copies.storage)


def entered(site: Site, run: str = "good") -> str:
    answer = site.get(f"/runs/{run}/optuna")
    assert answer.status == 303
    return answer.headers["location"]


def test_the_copy_has_the_run_s_trials_numbers_and_front(made: Run) -> None:
    study = copied(Copies(), made)
    assert [t.number for t in study.trials] == [t.number for t in made.trials]
    assert [t.params for t in study.trials] == [dict(t.decisions) for t in made.trials]
    assert {t.number for t in study.best_trials} == {t.number for t in made.front()}
    states = {
        "finished": TrialState.COMPLETE,
        "stopped": TrialState.PRUNED,
        "refused": TrialState.PRUNED,
        "failed": TrialState.FAIL,
    }
    assert [t.state for t in study.trials] == [states[t.state] for t in made.trials]
    assert study.metric_names == ["accuracy", "flops"]
    some = made.front()[0]
    assert some.score is not None
    assert study.trials[some.number].values == [some.score.values["accuracy"], some.cost["flops"]]
    assert study.trials[some.number].intermediate_values == {r.epoch: r.values["accuracy"] for r in some.score.curve}
    assert (study.trials[some.number].datetime_complete or study.trials[0].datetime_start).timestamp() == pytest.approx(
        some.ended
    )


def test_every_state_can_be_copied(made: Run) -> None:
    trials = list(made.trials)
    for number, state in ((1, "running"), (2, "replayed"), (3, "interrupted")):
        trials[number] = replace(trials[number], state=state)
    trials[4] = replace(trials[4], state="finished", score=Score({"accuracy": math.nan, "loss": 1.0}, 4, 1.0))
    whole = made.front()[0]
    trials[2] = replace(trials[2], score=whole.score, deployed=whole.deployed)
    trials[5] = replace(trials[5], state="replayed", score=None, deployed=whole.deployed)
    study = copied(Copies(), replace(made, trials=tuple(trials)))
    found = [t.state for t in study.trials[1:6]]
    assert found == [TrialState.RUNNING, TrialState.COMPLETE, TrialState.FAIL, TrialState.FAIL, TrialState.FAIL]


def test_the_replay_of_a_training_that_was_stopped_early_is_no_result(made: Run) -> None:
    stopped = next(t for t in made.trials if t.state == "stopped")
    perfect = replace(stopped, score=Score({"accuracy": 1.0, "loss": 0.0}, 1, 1.0))
    replayed = replace(perfect, number=60, state="replayed", reason="the same network, which stopped")
    trials = [perfect if t.number == stopped.number else t for t in made.trials]
    study = copied(Copies(), replace(made, trials=(*trials, replayed)))
    assert study.trials[60].state == TrialState.PRUNED
    assert {t.number for t in study.best_trials} == {t.number for t in made.front()}


def test_a_newer_copy_takes_the_place_of_the_older(made: Run) -> None:
    copies = Copies()
    copied(copies, replace(made, trials=made.trials[:10]))
    assert len(copied(copies, made).trials) == 60
    assert len(copies.storage.get_all_studies()) == 1


def test_a_run_s_page_leads_to_its_copy(site: Site) -> None:
    assert 'href="/runs/good/optuna"' in site.get("/runs/good").text
    place = entered(site)
    page = site.get(place)
    assert page.status == 200
    assert "Optuna Dashboard" in page.text
    sent = json.loads(site.get(place.replace("/dashboard", "/api")).text)
    assert sent["name"] == "good"
    assert len(sent["trials"]) == 40
    assert entered(site) == place


def test_a_run_that_changed_is_copied_again(own_site: Site) -> None:
    make_run(own_site.root / "run", 5)
    before = entered(own_site, "run")
    make_run(own_site.root / "other", 5)
    (own_site.root / "run" / "run.db").write_bytes((own_site.root / "other" / "run.db").read_bytes())
    assert entered(own_site, "run") != before


def test_its_page_may_evaluate_code_but_ask_nobody_else(site: Site) -> None:
    headers = site.get(entered(site)).headers
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self' 'unsafe-eval'")
    assert "http" not in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert "unsafe" not in site.get("/runs/good").headers["content-security-policy"]


@pytest.mark.parametrize("method", ["DELETE", "PUT", "POST", "PATCH"])
def test_nothing_can_be_changed(site: Site, method: str) -> None:
    study = entered(site).replace("/dashboard", "/api")
    for path in (study, "/api/studies", f"{study}/rename", "/dashboard"):
        assert site.get(path, method).status in (403, 405)
    assert len(json.loads(site.get(study).text)["trials"]) == 40


@pytest.mark.parametrize("path", ["/api/studies", "/api/studies/1/rename", "/api/trials/1/tell", "/dashboard/"])
def test_not_even_the_token_reaches_it(control_site: Site, path: str) -> None:
    entered(control_site)
    answer: Answer = control_site.post(path, {"study_name": "x", "directions": ["minimize"]}, SECRET)
    assert answer.status == 404
    assert [s["study_name"] for s in json.loads(control_site.get("/api/studies").text)["study_summaries"]] == ["good"]


@pytest.mark.parametrize("path", ["/static/../_app.py", "/static/..%2f_app.py", "/static/%2e%2e/_app.py", "/csv/../x"])
def test_no_file_outside_is_served(site: Site, path: str) -> None:
    entered(site)
    answer = site.get(path)
    assert answer.status in (403, 404)
    assert "import" not in answer.text


def test_a_foreign_host_reaches_nothing(site: Site) -> None:
    entered(site)
    assert site.get("/api/studies", Host="evil.example").status == 421


def test_before_a_run_was_opened_there_is_nothing(own_site: Site) -> None:
    answer = own_site.get("/api/studies")
    assert answer.status == 404
    assert "page of a run" in answer.text


def test_without_the_package_the_page_says_what_to_install(own_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(own_site.root / "run", 3)
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    answer = own_site.get("/runs/run/optuna")
    assert answer.status == 404
    assert "dcdnas[dashboard]" in answer.text
