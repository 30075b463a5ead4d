"""A run's pages in one file: complete, bounded, asking nothing of anybody, safe against names that are markup."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from written_runs import trial, write_run

from dcdnas.pages import single_file
from dcdnas.pages.payload import facts
from dcdnas.pages.single_file import report, write_report
from dcdnas.pages.snapshot import Still
from dcdnas.results import load_run, write_note

TRIALS = [trial(0, 0.70, 90.0), trial(1, 0.60, 30.0), trial(2, 0.80, 95.0), trial(3, 0.50, 20.0, "stopped")]
CONFIRMED = [(2, 1, 0.78), (2, 2, 0.80), (0, 1, 0.71), (0, 2, 0.69)]


def paths(text: str) -> list[str]:
    return re.findall(r'<template data-path="([^"]+)"', text)


def data(text: str, name: str) -> Any:
    return json.loads(text.split(f'<script type="application/json" id="{name}">')[1].split("</script>")[0])


def scripts(text: str) -> dict[str, str]:
    found = json.loads(text.split('<script type="importmap">')[1].split("</script>")[0])["imports"]
    return {name: base64.b64decode(address.split(",")[1]).decode() for name, address in found.items()}


def test_the_file_asks_nothing_of_another_host_and_its_policy_forbids_it(tmp_path: Path) -> None:
    text = report(load_run(write_run(tmp_path / "r", TRIALS)))
    addresses = re.findall(r"""(?:src|href|action)\s*=\s*["']([^"']*)""", text)
    assert {a.partition(":")[0] if a.startswith("data:") else a[:1] for a in addresses} == {"data", "#"}
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(", text + "".join(scripts(text).values()))
    assert "default-src 'none'" in text


def test_the_folder_of_the_file_is_made(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "r", TRIALS))
    assert write_report(run, tmp_path / "new" / "folder" / "r.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_file_has_every_page_and_a_trial_of_the_front_with_its_comparison(tmp_path: Path) -> None:
    found = paths(report(load_run(write_run(tmp_path / "r", TRIALS))))
    assert len(found) == len(set(found))
    trials = {f"/trials/{n}{end}" for n in (0, 1, 2) for end in ("", "/card")}
    pairs = {"/compare?trials=0,1", "/compare?trials=0,2"}
    assert set(found) == {"/", "/compare", "/space", "/failures", "no-page", "no-card"} | trials | pairs


def test_every_link_within_the_file_leads_to_one_of_its_pages_or_to_a_trial(tmp_path: Path) -> None:
    text = report(load_run(write_run(tmp_path / "r", TRIALS, CONFIRMED)))
    links = set(re.findall(r'href="#(/[^"]*)"', text))
    assert {link for link in links if not re.fullmatch(r"/trials/\d+", link)} <= set(paths(text))
    assert "/compare?trials=0,2" in links


def test_the_scripts_name_each_other_only_by_names_of_the_file(tmp_path: Path) -> None:
    found = scripts(report(load_run(write_run(tmp_path / "r", TRIALS))))
    named = {name for code in found.values() for name in re.findall(r'(?:from|import) "([^"]+)"', code)}
    assert named <= set(found)
    assert not any("fetch(" in code or "EventSource" in code for code in found.values())


def test_a_config_in_the_file_rebuilds_its_network(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "r", TRIALS))
    link = re.search(r'href="data:application/yaml;base64,([^"]+)" download="r-trial2.yaml"', report(run))
    assert link
    config = yaml.safe_load(base64.b64decode(link[1]))
    assert config["dcdnas"]["provenance"]["trial"] == 2
    assert config["dcdnas"]["cost"]["flops"] > 0


def test_all_trials_are_in_the_table_up_to_a_number_and_what_is_left_out_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = load_run(write_run(tmp_path / "r", TRIALS))
    assert [row[0] for row in data(report(run), "trials.json")["rows"]] == [0, 1, 2, 3]
    monkeypatch.setattr(single_file, "ROWS", 3)
    monkeypatch.setattr(single_file, "LAYERED", 2)
    text = report(run)
    assert [row[0] for row in data(text, "trials.json")["rows"]] == [0, 1, 2]
    assert "Of 4 trials the table contains the 3 best and the front." in text
    assert "This file shows 2 networks layer by layer" in text
    assert [p for p in paths(text) if re.fullmatch(r"/trials/\d+", p)] == ["/trials/0", "/trials/2"]


def test_the_front_is_in_the_table_however_many_trials_are_more_accurate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = [*TRIALS, trial(4, 0.75, 99.0), trial(5, 0.76, 99.0)]
    monkeypatch.setattr(single_file, "ROWS", 3)
    rows = [row[0] for row in data(report(load_run(write_run(tmp_path / "r", trials))), "trials.json")["rows"]]
    assert rows == [0, 1, 2]


def test_a_run_without_a_front_has_a_file_that_says_what_to_do(tmp_path: Path) -> None:
    text = report(load_run(write_run(tmp_path / "r", [])))
    assert "No network has been tried yet." in text
    assert f"dcdnas resume {tmp_path / 'r'}" in text


def test_names_and_reasons_cannot_become_markup(tmp_path: Path) -> None:
    bad = "</script><script>alert(1)</script>"
    trials = [*TRIALS, trial(4, None, 50.0, "failed", reason=bad)]
    text = report(load_run(write_run(tmp_path / "r<i>'\"", trials)))
    assert bad not in text
    assert "<i>" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert data(text, "trials.json")["rows"][4][8] == bad


def test_the_confirmed_means_are_in_the_file(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "r", TRIALS, CONFIRMED))
    assert "78.0 %, 80.0 %" in report(run)
    said = facts(Still(run))
    assert said["best"] == "79.0 %"
    assert said["best-detail"].endswith(" · mean of 2 fresh seeds")
    assert said["static"] == "not distinguishable"
    assert said["static-detail"].startswith("+9.0 points over 2 shared seeds (95 %: ")
    assert (
        "trial 0, all static: accuracy 70.0 %, mean of 2 fresh seeds with standard deviation 1.4, 90 FLOPs"
        in said["static-detail"]
    )


def test_a_difference_beyond_the_noise_is_said_as_a_number(tmp_path: Path) -> None:
    rows = [(2, s, 0.79 + s / 1000) for s in (1, 2, 3)] + [(0, s, 0.70) for s in (1, 2, 3)]
    assert facts(Still(load_run(write_run(tmp_path / "r", TRIALS, rows))))["static"] == "+9.2 points"


def test_the_area_above_the_ladder_stands_beside_the_best_and_the_hypervolume_below(tmp_path: Path) -> None:
    ladder = [trial(4, 0.30, 10.0, origin="ladder"), *TRIALS]
    text = report(load_run(write_run(tmp_path / "r", ladder, CONFIRMED, images=1000)))
    tiles = text.split('aria-label="Summary">')[1].split("</section>")[0]
    assert re.search(r'data-fact="area">0\.\d{3}<', tiles)
    assert re.search(r'data-fact="area-detail">95 %: 0\.\d{3} to 0\.\d{3}; above the best of 2 uniform static networks ', tiles)
    assert "hypervolume" not in tiles.lower()
    assert 'data-fact="volume"' in text
    assert 'data-fact="area">–<' in report(load_run(write_run(tmp_path / "old", TRIALS)))


def test_what_the_noise_leaves_open_is_marked_in_the_table_of_the_front(tmp_path: Path) -> None:
    line = [trial(1, 0.60, 30.0), trial(2, 0.80, 95.0), trial(3, 0.81, 96.0)]
    text = report(load_run(write_run(tmp_path / "r", line, images=1000)))
    assert data(text, "trials.json")["undecided"] == [2, 3]
    assert re.findall(r"/trials/(\d)\">\d</a> ~", text) == ["2", "3"]
    assert "~ not distinguishable" in text


def test_stars_and_notes_are_in_the_file(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r", TRIALS)
    write_note(folder, 2, True, "take <this>")
    text = report(load_run(folder))
    assert data(text, "trials.json")["notes"] == {"2": [True, "take <this>"]}
    assert "take &lt;this&gt;" in text
    (folder / "notes.json").write_text("damaged")
    assert "the notes and stars cannot be read" in report(load_run(folder))


def test_a_run_with_accuracy_as_its_only_objective_has_a_front_and_a_file(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "r", TRIALS, minimize=()))
    assert run.minimize == ()
    assert run.cost_shown == "flops"
    accuracies = [t.score.values["accuracy"] for t in run.trials if t.state == "finished" and t.score and t.cost["flops"] <= 100]
    assert {t.score.values["accuracy"] for t in run.front() if t.score} == {max(accuracies)}
    assert run.hypervolume == pytest.approx((max(accuracies) - 0.1) / 0.9)
    assert data(report(run), "trials.json")["front"] == [2]
