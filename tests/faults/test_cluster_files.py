"""The files of examples/cluster: shells and Kubernetes can read them, and what they call exists."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dcdnas.cli import resume, search

FOLDER = Path(__file__).parents[2] / "examples" / "cluster"
SCRIPTS = sorted(FOLDER.glob("*.sh"))


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_shell_can_read_the_script(script: Path) -> None:
    assert subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False).stderr == ""
    assert script.read_text().startswith("#!/bin/bash\n")
    assert "set -euo pipefail" in script.read_text()
    assert script.stat().st_mode & 0o100


def test_kubernetes_gets_what_kuberay_asks_for() -> None:
    job: Any = yaml.safe_load((FOLDER / "kuberay.yaml").read_text())
    assert (job["apiVersion"], job["kind"], job["metadata"]["name"]) == ("ray.io/v1", "RayJob", "dcdnas")
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        assert isinstance(group["rayStartParams"], dict)
        (container,) = group["template"]["spec"]["containers"]
        environment = {one["name"]: one for one in container["env"]}
        assert environment["RAY_AUTH_MODE"]["value"] == "token"
        assert environment["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"] == {"name": "dcdnas-ray", "key": "auth_token"}
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in group["template"]["spec"]["volumes"]}
        assert environment["DCDNAS_RUNS"]["value"] in {mount["mountPath"] for mount in container["volumeMounts"]}
    assert groups[1]["minReplicas"] <= groups[1]["replicas"] <= groups[1]["maxReplicas"]


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_the_flags_exist(path: Path) -> None:
    for verb, words in re.findall(r"dcdnas (search|resume) ([^\n;&]*)", path.read_text()):
        module = {"search": search, "resume": resume}[verb]
        known = inspect.getsource(module) + Path(str(search.__file__)).with_name("_options.py").read_text()
        assert [flag for flag in re.findall(r"--[a-z-]+", words) if f'"{flag}"' not in known] == []


def test_the_page_names_every_file_with_the_token_on() -> None:
    page = (FOLDER / "README.md").read_text()
    for path in [*SCRIPTS, FOLDER / "kuberay.yaml"]:
        assert f"({path.name})" in page
        assert "RAY_AUTH_MODE" in path.read_text()
