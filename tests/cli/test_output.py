"""What is printed: texts of a run may be anybody's, and a terminal must show them instead of obeying them."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from io import BytesIO, StringIO, TextIOWrapper

import pytest
from written_runs import trial

from dcdnas.cli._app import _guarded
from dcdnas.cli._output import Output, accept_every_character
from dcdnas.cli._progress import JsonLines
from dcdnas.cli._tables import table
from dcdnas.core.trial import Score
from dcdnas.engine.progress import Progress
from dcdnas.errors import DcdnasError
from dcdnas.tasks import ACCURACY, Objective

ATTACK = "failed\x1b]0;owned\x07\x1b[2J\x9b31m\u202etxt.exe\rover\b"
SHOWN = "failed�]0;owned��[2J�31m�txt.exe�over�"


@pytest.mark.parametrize("channel", ["show", "note", "warn", "error", "table"])
def test_no_text_commands_the_terminal(channel: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(no_color=True)
    if channel == "table":
        made = table("Trial", "Reason", title=ATTACK)
        made.add_row("0", ATTACK)
        out.show(made)
    elif channel == "error":
        out.error(DcdnasError(ATTACK))
    else:
        getattr(out, channel)(ATTACK)
    said = capsys.readouterr()
    printed = said.out + said.err
    assert printed.count(SHOWN) == (2 if channel == "table" else 1)
    assert not set(printed) & set("\x1b\x07\x9b\u202e\r\b")


def test_names_between_colons_stay_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(no_color=True)
    made = table("Data", title=":dog:")
    made.add_row(":smile:")
    out.show("folder:dog: 40 pictures", made)
    out.note("on folder:dog: and :cat:")
    said = capsys.readouterr()
    assert said.out.count(":dog:") == 2
    assert ":smile:" in said.out
    assert said.err == "on folder:dog: and :cat:\n"


def test_lines_stay_lines(capsys: pytest.CaptureFixture[str]) -> None:
    Output(no_color=True).show("one\n  two")
    assert capsys.readouterr().out == "one\n  two\n"


def test_characters_that_the_encoding_lacks_are_written_in_a_simpler_way(monkeypatch: pytest.MonkeyPatch) -> None:
    written = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(written, encoding="ascii"))
    accept_every_character()
    Output(no_color=True).show(
        "84.8\N{NO-BREAK SPACE}% \N{PLUS-MINUS SIGN} 0.6 \N{MIDDLE DOT} 3 \N{MULTIPLICATION SIGN} 3 é \N{HIRAGANA LETTER A}"
    )
    Output(as_json=True).document({"class": "Käse"})
    sys.stdout.flush()
    first, *document = written.getvalue().decode("ascii").splitlines()
    assert first == "84.8 % +- 0.6 . 3 x 3 e ?"
    assert json.loads("".join(document)) == {"class": "Käse"}


def test_an_encoding_that_has_a_character_writes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    written = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(written, encoding="latin-1"))
    accept_every_character()
    sys.stdout.write("± é \N{EN DASH}")
    sys.stdout.flush()
    assert written.getvalue() == "± é -".encode("latin-1")


def test_the_event_of_a_training_has_every_objective_of_the_search(capsys: pytest.CaptureFixture[str]) -> None:
    recall = Objective("recall", "maximize", worst=0.0, best=1.0)
    latest = replace(trial(0, 0.5, 50.0), score=Score({"accuracy": 0.5, "recall": 0.25}, 3, 2.0))
    before = Progress(10, 0, {}, 0, None, ACCURACY, None, 0.0, 1.0, None, None, False, (recall,))
    watcher = JsonLines(Output(as_json=True), "run")
    watcher(before)
    watcher(replace(before, ended=1, states={"finished": 1}, latest=latest))
    event = json.loads(capsys.readouterr().out)
    assert (event["accuracy"], event["recall"]) == (0.5, 0.25)


def test_a_reader_that_leaves_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    class Left(StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    output = Output()
    monkeypatch.setattr(output.console, "file", Left())
    monkeypatch.setattr("dcdnas.cli._app.os.dup2", lambda *_: None)
    assert _guarded(lambda: output.show("a line that nobody reads"), output) == 0
