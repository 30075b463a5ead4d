from __future__ import annotations

from pathlib import Path

import pytest
from commands import Run

from dcdnas.cli import doctor


@pytest.fixture(autouse=True)
def quick_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a probe imports is not what is tested here; Ray asks for a token as it does where nobody says otherwise."""
    monkeypatch.delenv("RAY_AUTH_MODE")
    monkeypatch.setattr(
        doctor, "PROBES", {"torch": "print('none')", "ray": "print('2.60')", "dcdnas.kernels": "print('compiled')"}
    )


def test_a_machine_that_runs_these_tests_is_well(run: Run, project: Path) -> None:
    found = run("doctor", "--json")
    assert found.code == 0
    seen = {finding["what"]: finding for finding in found.json}
    assert seen["torch"]["well"]
    assert seen["GPUs"]["seen"] == "none"
    assert seen["kernels"]["seen"] == "compiled"
    assert not (project / "runs").exists()


def test_a_package_that_cannot_be_imported_is_told_with_what_to_do(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PROBES", {**doctor.PROBES, "ray": "import nothing_of_this_name"})
    said = run("doctor")
    assert said.code == 1
    assert "importing ray fails: ModuleNotFoundError" in said.out
    assert "Install ray again" in said.out
    assert "problems with: Ray" in said.err


@pytest.mark.parametrize(
    ("mode", "version", "well"),
    [("", "2.60.0", True), ("token", "2.52.1", True), ("", "2.59.3", False), ("disabled", "2.60.0", False)],
)
def test_ports_that_ask_for_no_token_are_told(
    run: Run, monkeypatch: pytest.MonkeyPatch, mode: str, version: str, well: bool
) -> None:
    if mode:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    monkeypatch.setattr(doctor, "version", lambda name: version)
    said = run("doctor")
    assert ("NO  Ray's ports  open to other machines without a token" in said.out) == (not well)
    assert ("search with `--executor local`, which opens none" in said.out) == (not well)
    assert (said.code, "problems with: Ray's ports" in said.err) == ((0, False) if well else (1, True))


def test_a_probe_that_hangs_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PROBES", {**doctor.PROBES, "torch": "import time; time.sleep(60)"})
    monkeypatch.setattr(doctor, "SECONDS", 1)
    assert "takes more than 1 s" in run("doctor").out


def test_a_missing_package_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "NEEDED", ("package-of-no-one",))
    assert run("doctor").code == 1


def test_a_runs_folder_that_cannot_be_written_is_told(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", _refuse)
    monkeypatch.setenv("DCDNAS_RUNS", str(tmp_path))
    said = run("doctor")
    assert said.code == 1
    assert "Set DCDNAS_RUNS" in said.out


@pytest.mark.parametrize("name", ["runs", "runs/mine"])
def test_a_file_in_the_place_of_the_runs_folder_is_told(
    run: Run, project: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "runs").write_text("")
    monkeypatch.setenv("DCDNAS_RUNS", name)
    said = run("doctor")
    assert said.code == 1
    assert f"{name} cannot be written: {project / 'runs'} is no folder" in said.out.replace("\n", " ")
    assert "Set DCDNAS_RUNS" in said.out


def _refuse(dir: Path) -> None:
    raise PermissionError(13, "Permission denied")
