"""The package keeps the rules of its structure, and every check of these rules can fail."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from structure_checks import (
    CHECKS,
    LAYERS,
    Problems,
    banned,
    cycles,
    docstrings,
    fan_out,
    heavy,
    layers,
    modules,
    names,
    part,
    reaches,
    rings,
    sizes,
    unfinished,
)

PACKAGE = Path(__file__).parents[1] / "dcdnas"

LIGHT = ("dcdnas", "dcdnas.cli", "dcdnas.engine.store", "dcdnas.core.budget", "dcdnas.core.architecture", "dcdnas.core.pareto")
"""Modules that load quickly: importing them imports none of the heavy packages."""


@pytest.mark.parametrize("check", CHECKS)
def test_the_package_keeps_to_the_rule(check: Callable[[Path], Problems]) -> None:
    assert list(check(PACKAGE)) == []


def test_the_list_of_layers_is_the_list_of_folders() -> None:
    assert set(LAYERS) == {part(module) for module in modules(PACKAGE)}


def test_the_root_holds_five_names() -> None:
    assert {p.stem for p in PACKAGE.glob("*.py")} == {"__init__", "__main__", "api", "errors"}
    assert (PACKAGE / "py.typed").exists()


def test_the_checks_see_the_package() -> None:
    assert {"errors", "cost.flops", "operators", ""} <= set(modules(PACKAGE))


@pytest.mark.parametrize("module", LIGHT)
def test_it_is_imported_without_the_heavy_packages(module: str) -> None:
    if module.removeprefix("dcdnas").removeprefix(".") not in modules(PACKAGE):
        pytest.skip(f"{module} does not exist")
    allowed = {"dcdnas.core.pareto": "numpy, moocore"}
    packages = ["torch", "ray", "fvcore", "optuna", "pandas", "moocore"]
    code = f"import sys, {module}; print(*[p for p in {packages} if p in sys.modules and p not in {allowed.get(module, '')!r}])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


GOOD = '"""Says what it is."""\n'


@pytest.fixture
def package(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    """A function that writes a small package and returns its folder; each file gets a docstring before its text."""

    def write(files: dict[str, str]) -> Path:
        for name, text in {"__init__.py": "", "errors.py": "", **files}.items():
            path = tmp_path / "dcdnas" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(GOOD + text if not text.startswith("#") else text)
        return tmp_path / "dcdnas"

    return write


LONG = "def f():\n" + '    """F."""\n' + "    x = 1\n" * 60

BROKEN: dict[str, tuple[Callable[[Path], Problems], dict[str, str], str]] = {
    "an import that points up": (
        layers,
        {"cost.py": "import dcdnas.errors\nfrom dcdnas.errors import x\n", "errors.py": "import dcdnas.cost"},
        "errors imports cost",
    ),
    "an upward import inside a function": (
        layers,
        {"cost.py": "", "errors.py": "def f():\n    from dcdnas import cost\n"},
        "errors imports cost",
    ),
    "an import of the package's own top": (layers, {"cost.py": "from dcdnas import search\n"}, "cost imports dcdnas"),
    "a relative import": (layers, {"cost/__init__.py": "", "cost/a.py": "from . import b\n"}, "relative import"),
    "a part in no layer": (layers, {"stuff.py": ""}, "'stuff' is in no layer"),
    "a heavy package outside its layer": (heavy, {"errors.py": "import torch.nn\n"}, "torch is imported outside its part"),
    "a heavy package inside a function": (
        heavy,
        {"training.py": "def f():\n    from ray import tune\n"},
        "ray is imported outside its part",
    ),
    "a heavy package in the store": (
        heavy,
        {"engine/__init__.py": "", "engine/store.py": "import optuna\n"},
        "the store imports optuna",
    ),
    "an upward import for types": (
        layers,
        {"cost.py": "", "errors.py": "if TYPE_CHECKING:\n    import dcdnas.cost\n"},
        "errors imports cost",
    ),
    "two folders that import each other for types": (
        rings,
        {
            "cost.py": "import dcdnas.space.a",
            "space/__init__.py": "",
            "space/a.py": "",
            "space/b.py": "if TYPE_CHECKING:\n    import dcdnas.cost\n",
        },
        "folder cost is in a ring",
    ),
    "a private module of another folder": (
        reaches,
        {"cost/__init__.py": "", "cost/_a.py": "", "space.py": "def f():\n    from dcdnas.cost._a import x\n"},
        "space reaches into cost._a",
    ),
    "a file that imports half of the package": (
        fan_out,
        {
            **{f"cost/a{i}.py": "" for i in range(15)},
            "cost/__init__.py": "",
            "space.py": "".join(f"import dcdnas.cost.a{i}\n" for i in range(15)),
        },
        "space: imports 15 modules of the package, more than 14",
    ),
    "matplotlib outside its file": (
        banned,
        {"cost.py": "def f():\n    import matplotlib\n"},
        "only a function in pages.figures may",
    ),
    "matplotlib when its file is imported": (
        banned,
        {"pages/__init__.py": "", "pages/figures.py": "import matplotlib.pyplot as plt\n"},
        "only a function in pages.figures may",
    ),
    "timm in two files": (
        banned,
        {"export/__init__.py": "", **{f"export/{n}.py": "def f():\n    import timm\n" for n in "ab"}},
        "timm is imported by export.a, export.b",
    ),
    "two modules that import each other": (
        cycles,
        {"cost/__init__.py": "", "cost/a.py": "import dcdnas.cost.b", "cost/b.py": "from dcdnas.cost.a import x"},
        "cost.a is in an import cycle",
    ),
    "a cycle that closes inside a function": (
        cycles,
        {"a.py": "import dcdnas.b", "b.py": "import dcdnas.c", "c.py": "def f():\n    import dcdnas.a"},
        "c is in an import cycle",
    ),
    "a long file": (sizes, {"a.py": "x = 1\n" * 450}, "451 lines, more than 450"),
    "a long function": (sizes, {"a.py": LONG}, "f has 62 lines, more than 60"),
    "a long method": (sizes, {"a.py": "class A:\n" + "".join(f"    {line}\n" for line in LONG.splitlines())}, "f has 62 lines"),
    "a module without docstring": (docstrings, {"a.py": "# nothing\nx = 1\n"}, "a.py: no docstring"),
    "a function without docstring": (docstrings, {"a.py": "def f(): ...\n"}, "f has no docstring"),
    "a method without docstring": (docstrings, {"a.py": 'class A:\n    """A."""\n    def f(self): ...\n'}, "f has no docstring"),
    "a pickle": (banned, {"a.py": "def f():\n    from pickle import loads\n"}, "imports pickle"),
    "tensors read with any code in them": (
        banned,
        {"a.py": "import torch\ntorch.load('x')\n"},
        "torch.load without weights_only",
    ),
    "something left for later": (unfinished, {"a.py": "x = 1  # TO" + "DO: finish\n"}, "a.py:2: unfinished"),
    "a module that hides a public function": (names, {"search.py": ""}, "search is a public function"),
    "a drawer": (names, {"cost/__init__.py": "", "cost/_utils.py": ""}, "say what is in it"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_rule_is_found(case: str, package: Callable[[dict[str, str]], Path]) -> None:
    check, files, problem = BROKEN[case]
    assert any(problem in line for line in check(package(files))), list(check(package(files)))


FINE: dict[str, tuple[Callable[[Path], Problems], dict[str, str]]] = {
    "an import that points down": (layers, {"cost.py": "from dcdnas.errors import x\nimport dcdnas.errors\n"}),
    "a private module of the same folder": (
        reaches,
        {"cost/__init__.py": "", "cost/_a.py": "", "cost/b/__init__.py": "", "cost/b/c.py": "import dcdnas.cost._a"},
    ),
    "folders in a row": (rings, {"cost.py": "import dcdnas.errors", "space.py": "import dcdnas.cost"}),
    "matplotlib inside a function of its file": (
        banned,
        {"pages/__init__.py": "", "pages/figures.py": "def f():\n    import matplotlib.pyplot as plt\n"},
    ),
    "a heavy package in its layer": (heavy, {"engine/__init__.py": "", "engine/ray_tune.py": "import ray\n"}),
    "a chain without a cycle": (cycles, {"a.py": "import dcdnas.b", "b.py": "import dcdnas.c", "c.py": ""}),
    "a cycle for types only": (cycles, {"a.py": "import dcdnas.b", "b.py": "if TYPE_CHECKING:\n    import dcdnas.a\n"}),
    "a private function without docstring": (docstrings, {"a.py": "def _f(): ...\n"}),
    "a function in a function without docstring": (docstrings, {"a.py": 'def f():\n    """F."""\n    def g(): ...\n'}),
    "tensors read as tensors": (banned, {"a.py": "import torch\ntorch.load('x', weights_only=True)\n"}),
    "an entry that shares a public name": (names, {"cli/__init__.py": "", "cli/search.py": ""}),
}


@pytest.mark.parametrize("case", FINE)
def test_a_kept_rule_is_not_a_problem(case: str, package: Callable[[dict[str, str]], Path]) -> None:
    check, files = FINE[case]
    assert list(check(package(files))) == []


def test_no_two_test_files_have_one_name() -> None:
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert [name for name in sorted(set(names)) if names.count(name) > 1] == [], "pytest imports them by their names"
