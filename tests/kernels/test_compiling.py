"""How the kernels are compiled and kept, and what happens where they cannot be."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcdnas.errors import UsageError
from dcdnas.kernels import SWITCH, _library, in_use, why_not


@pytest.fixture(autouse=True)
def _anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty cache, nothing loaded, and a compiler that does not take the time to optimise."""
    monkeypatch.setattr(_library, "FLAGS", ("-O0", *_library.FLAGS[1:]))
    monkeypatch.setenv("DCDNAS_CACHE", str(tmp_path))
    monkeypatch.delenv(SWITCH, raising=False)
    _library._found.cache_clear()
    yield
    _library._found.cache_clear()


def compiled(tmp_path: Path) -> list[Path]:
    return sorted(tmp_path.glob("kernels-*.so"))


@pytest.mark.skipif(not in_use(), reason="no C compiler")
class TestWithACompiler:
    def test_they_are_compiled_once_and_kept(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert in_use()
        (kept,) = compiled(tmp_path)
        written = kept.stat().st_ino
        _library._found.cache_clear()
        monkeypatch.setattr(_library, "_compile", lambda *_: pytest.fail("compiled again"))
        assert in_use()
        assert kept.stat().st_ino == written
        assert why_not() == ""

    @pytest.mark.slow
    def test_another_source_is_compiled_anew(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert in_use()
        changed = tmp_path / "training.c"
        changed.write_text(_library.SOURCES[-1].read_text() + "\n/* changed */\n")
        monkeypatch.setattr(_library, "SOURCES", (*_library.SOURCES[:-1], changed))
        _library._found.cache_clear()
        assert in_use()
        assert len(compiled(tmp_path)) == 2

    def test_a_file_that_is_damaged_is_made_anew_next_time(self, tmp_path: Path) -> None:
        digest = _library._digest(_library._compiler())
        damaged = tmp_path / f"kernels-{digest}.so"
        damaged.write_bytes(b"no library")
        assert not in_use()
        assert damaged.name in why_not()
        _library._found.cache_clear()
        assert in_use()

    def test_what_the_compiler_says_of_a_wrong_source_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        wrong = tmp_path / "training.c"
        wrong.write_text("int main(")
        monkeypatch.setattr(_library, "SOURCES", (wrong,))
        assert not in_use()
        assert "cannot compile the kernels" in why_not()
        assert wrong.name in why_not()
        assert compiled(tmp_path) == []

    def test_the_switch_turns_them_off(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(SWITCH, "off")
        assert not in_use()
        assert why_not() == f"{SWITCH}=off"
        assert compiled(tmp_path) == []


def test_without_a_compiler_torch_computes_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.delenv("CC", raising=False)
    assert not in_use()
    assert why_not() == "no C compiler (cc, gcc, clang) is installed"


def test_kernels_that_were_asked_for_have_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    monkeypatch.setenv(SWITCH, "on")
    with pytest.raises(UsageError, match=r"DCDNAS_KERNELS=on, but .*no C compiler \(no-such-compiler\).* Install a C compiler"):
        in_use()


def test_a_compiler_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*given: object, **named: object) -> None:
        raise subprocess.TimeoutExpired("cc", _library.SECONDS)

    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    monkeypatch.setattr("subprocess.run", hang)
    assert not in_use()
    assert "timed out" in why_not()


def test_a_cache_that_cannot_be_written_costs_speed_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    monkeypatch.setenv("DCDNAS_CACHE", str(file / "folder"))
    assert not in_use()


def test_a_switch_that_says_neither_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "fast")
    with pytest.raises(UsageError, match=r"DCDNAS_KERNELS cannot be 'fast'\. Allowed: on, off"):
        in_use()
