"""Acting from a page: only with the token and from a page of this server, and nothing but what is meant."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from serving import SECRET, Answer, Site
from synthetic import make_run
from written_runs import trial, write_run

from dcdnas.core.lock import FolderLock, live_driver
from dcdnas.core.task import OWN, TrainingTask
from dcdnas.core.trial import Ending
from dcdnas.dashboard import resume
from dcdnas.engine import signals
from dcdnas.results import Note, load_run, read_notes
from dcdnas.tasks import ASK_TELL

STAR = "/runs/good/trials/3/note"


def said(answer: Answer) -> str:
    return str(json.loads(answer.text)["said"])


def everything(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.mark.parametrize("path", ["/runs/good/stop", "/runs/good/resume", STAR, "/", "/runs/good", "/assets/app.css", "/nowhere"])
def test_without_control_nothing_can_be_posted(site: Site, path: str) -> None:
    before = everything(site.root)
    answer = site.post(path, {"starred": True}, SECRET)
    assert answer.status == 403
    assert "--allow-control" in said(answer)
    assert everything(site.root) == before


def test_without_control_no_page_offers_it(site: Site) -> None:
    for page in ("/runs/good", "/runs/good/trials/1", "/runs/good/live"):
        text = site.get(page).text
        assert "data-send" not in text
        assert "control.js" not in text


@pytest.mark.parametrize("token", ["", "a", SECRET[:-1], SECRET + "x", SECRET.upper(), "ü"])
def test_a_wrong_token_does_nothing(control_site: Site, token: str) -> None:
    answer = control_site.post(STAR, {"starred": True}, token)
    assert answer.status == 403
    assert read_notes(control_site.root / "good") == {}
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"}, {"Origin": "http://localhost"},
        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
    ],
)  # fmt: skip
def test_a_page_of_another_site_does_nothing_even_with_the_token(control_site: Site, headers: dict[str, str]) -> None:
    assert control_site.post(STAR, {"starred": True}, SECRET, **headers).status == 403
    assert read_notes(control_site.root / "good") == {}


def test_a_foreign_host_is_refused_even_with_the_token(control_site: Site) -> None:
    answer = control_site.post(STAR, {"starred": True}, SECRET, Host="evil.example", Origin="http://evil.example")
    assert answer.status == 421
    assert read_notes(control_site.root / "good") == {}


def test_the_page_s_own_origin_may(control_site: Site) -> None:
    answer = control_site.post(STAR, {"starred": True}, SECRET, Origin=control_site.url, **{"Sec-Fetch-Site": "same-origin"})
    assert answer.status == 200
    assert read_notes(control_site.root / "good") == {3: Note(True, "")}


def test_the_token_is_in_no_page_and_in_no_address(control_site: Site) -> None:
    for page in ("/", "/runs/good", "/runs/good/trials/1", "/assets/control.js"):
        assert SECRET not in control_site.get(page).text
    assert control_site.post(f"{STAR}?token={SECRET}", {"starred": True}).status == 403


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data", ""])
def test_what_a_form_can_send_is_refused(control_site: Site, kind: str) -> None:
    assert control_site.post(STAR, {"starred": True}, SECRET, **{"content-type": kind}).status == 400
    assert read_notes(control_site.root / "good") == {}


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff", b'{"text": "' + b"x" * 40_000 + b'"}', b"[" * 30_000])
def test_content_that_cannot_be_read_is_refused(control_site: Site, content: bytes) -> None:
    assert control_site.post(STAR, content, SECRET).status == 400


@pytest.mark.parametrize("content", [{"starred": "yes"}, {"text": 3}, {"text": "x" * 4001}])
def test_content_that_means_nothing_is_said(control_site: Site, content: object) -> None:
    answer = control_site.post(STAR, content, SECRET)
    assert answer.status == 409
    assert "llowed" in said(answer) or "Send" in said(answer)
    assert read_notes(control_site.root / "good") == {}


@pytest.mark.parametrize("run", ["..", "%2e%2e", "..%2foutside", "../outside", "good%2f..%2f..%2foutside", "%00", "nothing"])
@pytest.mark.parametrize("action", ["stop", "resume", "trials/1/note"])
def test_nothing_outside_the_runs_folder_is_touched(control_site: Site, run: str, action: str) -> None:
    before = everything(control_site.root.parent)
    answer = control_site.post(f"/runs/{run}/{action}", {"starred": True, "text": "x", "more": 1}, SECRET)
    assert answer.status in (404, 405, 409)
    assert everything(control_site.root.parent) == before


def test_a_note_about_no_trial_is_refused(control_site: Site) -> None:
    answer = control_site.post("/runs/good/trials/12/note", {"starred": True}, SECRET)
    assert answer.status == 409
    assert "has no trial 12" in said(answer)


def test_notes_are_shown_and_cannot_become_markup(control_site: Site) -> None:
    nasty = '<script>alert(1)</script> & "quoted" \'</td>'
    assert control_site.post(STAR, {"text": nasty, "starred": True}, SECRET).status == 200
    for page in ("/runs/good", "/runs/good/trials/3", "/runs/good/trials/3/card"):
        text = control_site.get(page).text
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;quoted&#34; &#39;&lt;/td&gt;" in text
    sent = json.loads(control_site.get("/runs/good/trials.json").text)
    assert sent["notes"] == {"3": [True, nasty]}


def test_an_open_page_is_told_of_a_star(control_site: Site) -> None:
    version = json.loads(control_site.get("/runs/good/trials.json").text)["version"]
    control_site.post(STAR, {"starred": True}, SECRET)
    lines = control_site.events(f"/runs/good/events?version={version}")
    news = next(json.loads(line[6:]) for line in lines if line.startswith("data: "))
    assert news["notes"] == {"3": [True, ""]}
    assert news["rows"] == []


def test_damaged_notes_are_said_and_the_run_is_shown(control_site: Site) -> None:
    (control_site.root / "good" / "notes.json").write_text("{", encoding="utf-8")
    answer = control_site.get("/runs/good")
    assert answer.status == 200
    assert "notes.json" in answer.text
    assert control_site.post(STAR, {"starred": True}, SECRET).status == 409


def test_notes_change_no_result(control_site: Site) -> None:
    before = load_run(control_site.root / "good").rows
    control_site.post(STAR, {"starred": True, "text": "x"}, SECRET)
    assert load_run(control_site.root / "good").rows == before


@pytest.mark.parametrize("now", [False, True])
def test_stop_asks_the_driver(control_site: Site, now: bool) -> None:
    folder = control_site.root / "good"
    with FolderLock(folder):
        answer = control_site.post("/runs/good/stop", {"now": now}, SECRET)
        assert answer.status == 200
        assert signals.requested(folder).now is now
        assert signals.requested(folder).ending is Ending.STOPPED


def test_what_is_not_running_cannot_be_stopped(control_site: Site) -> None:
    answer = control_site.post("/runs/good/stop", {}, SECRET)
    assert answer.status == 409
    assert "not running" in said(answer)
    assert not (control_site.root / "good" / signals.FILE).exists()


def test_a_run_that_is_searched_is_not_resumed(control_site: Site) -> None:
    with FolderLock(control_site.root / "good"):
        answer = control_site.post("/runs/good/resume", {"more": 1}, SECRET)
    assert answer.status == 409
    assert "already running" in said(answer)


@pytest.mark.parametrize("more", [0, -1, 1.5, "1", True, 10**9])
def test_how_many_more_must_be_a_number(control_site: Site, more: object) -> None:
    make_run(control_site.root / "done", 4, asked=1)
    answer = control_site.post("/runs/done/resume", {"more": more}, SECRET)
    assert answer.status == 409
    assert not (control_site.root / "done" / "resume.log").exists()


def test_a_run_that_resume_refuses_offers_no_button_and_says_what_goes_on(
    control_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DCDNAS_RUNS", str(control_site.root))
    folder = control_site.root / "mine"
    write_run(folder, [trial(0, 0.7, 90.0)], ending=Ending.INTERRUPTED, task=TrainingTask(data=f"{OWN}{ASK_TELL}"))
    page, command = control_site.get("/runs/mine").text, f"dcdnas ask-tell --name {folder.name}"
    assert 'data-send="/runs/mine/stop"' in page
    assert "/resume" not in page
    assert f"<code>{command}</code>" in page
    answer = control_site.post("/runs/mine/resume", {"more": 5}, SECRET)
    assert answer.status == 409
    assert command in said(answer)
    assert not (folder / "resume.log").exists()
    assert "/resume" in control_site.get("/runs/good").text


def test_a_run_whose_time_was_up_is_resumed_without_more_trainings(control_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcdnas.dashboard.control.resume_beside", lambda folder, more: f"{folder.name} goes on with {more} more")
    write_run(control_site.root / "late", [trial(0, 0.7, 90.0)], ending=Ending.TIME_IS_UP, trials=5)
    write_run(control_site.root / "done", [trial(0, 0.7, 90.0)])
    assert '<button type="button" class="button primary" data-send="/runs/late/resume">' in control_site.get("/runs/late").text
    assert '"button primary while-interrupted" data-send="/runs/done/resume">' in control_site.get("/runs/done").text
    assert said(control_site.post("/runs/late/resume", {}, SECRET)) == "late goes on with 0 more"
    assert "has finished all requested trainings" in said(control_site.post("/runs/done/resume", {}, SECRET))


@pytest.mark.slow
def test_resume_searches_in_a_process_of_its_own(control_site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = tmp_path / "dcdnas.yaml"
    settings.write_text("executor: local\njobs: 1\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dcdnas.dashboard.resume.PATIENCE", 120.0)  # a busy machine takes its time
    folder = control_site.root / "small"
    make_run(folder, 2, asked=2)
    answer = control_site.post("/runs/small/resume", {"more": 30}, SECRET)
    assert answer.status == 200, answer.text
    driver = live_driver(folder)
    assert driver is not None
    assert driver["host"] == socket.gethostname()
    assert driver["pid"] != os.getpid()
    assert os.getsid(driver["pid"]) != os.getsid(0)
    assert control_site.post("/runs/small/stop", {"now": True}, SECRET).status == 200
    assert resume._STARTED[folder].wait(120) == 3  # stopped, and can be resumed
    assert live_driver(folder) is None
    assert load_run(folder).asked == 32


@pytest.mark.slow
def test_a_search_that_ends_at_once_says_why(control_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcdnas.dashboard.resume.PATIENCE", 120.0)
    folder = control_site.root / "good"
    (folder / "search.yaml").write_text("budgets: [", encoding="utf-8")
    answer = control_site.post("/runs/good/resume", {"more": 1}, SECRET)
    assert answer.status == 409
    assert "ended at once: Error: -n +1" in said(answer)


@pytest.mark.slow
def test_the_command_prints_the_token_once_and_reads_without_it(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "dcdnas",
        "dashboard",
        "--runs",
        str(tmp_path),
        "--port",
        "0",
        "--allow-control",
        "--no-color",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        process.wait(20)
    token = next(line for line in lines if "Token" in line).split()[1]
    assert len(token) >= 40
    assert token not in lines[0]
