"""Checks of the code's structure: direction of imports, cycles, sizes, docstrings, names. Each yields one line per problem."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

LAYERS = (
    "errors",
    "core",
    "kernels",
    "operators",
    "networks",
    "published",
    "tracing",
    "cost",
    "space",
    "data",
    "training",
    "analysis",
    "heads",
    "tables",
    "tasks",
    "engine",
    "results",
    "testing",
    "export",
    "pages",
    "dashboard",
    "api",
    "cli",
    "",
    "__main__",
)
"""The folders of the package (and the few modules of its root; ``""`` is `dcdnas/__init__.py`) from the bottom to the top. Each
may import only from those before it, also inside functions and for type checkers."""

HEIGHT = {name: level for level, name in enumerate(LAYERS)}

HEAVY: Mapping[str, tuple[str, ...]] = {
    "torch": tuple(name for name, level in HEIGHT.items() if level >= HEIGHT["kernels"]),
    "fvcore": ("cost",),
    "ray": ("engine",),
    "optuna": ("engine",),
    "optuna_dashboard": ("dashboard",),
    "pandas": ("results",),
}
"""Heavy package -> the folders that may import it: torch all folders from `kernels` upwards, the others one folder each."""

BANNED = {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "torchvision", "imp"}

ONE_PLACE: Mapping[str, str] = {"matplotlib": "pages.figures", "timm": "export"}
"""Packages that only this file, or one file of this folder, may import, and only inside its functions."""

PUBLIC = {
    "Search", "build", "convert", "count", "load", "load_published", "load_run", "load_space", "register_timm", "search",
    "tune_forms",
}  # fmt: skip
"""The package's public functions, whose names no top-level module may have."""

MOST_FILE_LINES, MOST_FUNCTION_LINES, MOST_IMPORTED = 450, 60, 14

Problems = Iterator[str]


def modules(root: Path) -> dict[str, Path]:
    """Dotted name below the package, e.g. ``cost.flops``, -> file; a package is its ``__init__``."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def tree(path: Path) -> ast.Module:
    return parsed(path.read_text(encoding="utf-8"), str(path))


@cache
def parsed(text: str, name: str) -> ast.Module:
    """Parses a file once for all checks, which do not modify the tree."""
    return ast.parse(text, name)


def imports(path: Path, for_types: bool = False) -> tuple[tuple[str, int], ...]:
    """Full name and line of every import, also inside functions; those under `if TYPE_CHECKING` only with `for_types`."""
    return imported(tree(path), for_types)


@cache
def imported(module: ast.Module, for_types: bool) -> tuple[tuple[str, int], ...]:
    """Like `imports`, of a parsed file."""

    def walk(node: ast.AST) -> Iterator[tuple[str, int]]:
        if isinstance(node, ast.expr):
            return  # an expression contains no import statement
        if not for_types and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from walk(other)
            return
        if isinstance(node, ast.Import):
            yield from ((a.name, node.lineno) for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield "a relative import", node.lineno
            yield from ((f"{node.module}.{a.name}", node.lineno) for a in node.names)
        for child in ast.iter_child_nodes(node):
            yield from walk(child)

    return tuple(walk(module))


def inside(name: str, known: Mapping[str, Path]) -> str | None:
    """The module of the package that an import names, or None for another package."""
    if name != "dcdnas" and not name.startswith("dcdnas."):
        return None
    rest = name.removeprefix("dcdnas").removeprefix(".")
    while rest not in known:
        rest = rest.rpartition(".")[0]
    return rest


def part(module: str) -> str:
    """The folder of the package that a module is in, or its own name in the root."""
    return module.split(".")[0]


def layers(root: Path) -> Problems:
    """Finds imports from a higher layer, also for types and inside functions, and folders that are in no layer."""
    known = modules(root)
    for module, path in known.items():
        if part(module) not in HEIGHT:
            yield f"{path.name}: {part(module)!r} is in no layer; say where it belongs in LAYERS"
            continue
        for name, line in imports(path, for_types=True):
            target = inside(name, known)
            if name == "a relative import":
                yield f"{path.name}:{line}: relative import"
            elif target is not None and HEIGHT.get(part(target), 99) > HEIGHT[part(module)]:
                yield f"{path.name}:{line}: {part(module) or 'dcdnas'} imports {part(target) or 'dcdnas'}, which is above it"


def heavy(root: Path) -> Problems:
    """Finds heavy packages that are imported outside their folders."""
    for module, path in modules(root).items():
        for name, line in imports(path):
            package = name.split(".")[0]
            if package in HEAVY and part(module) not in HEAVY[package]:
                yield f"{path.name}:{line}: {package} is imported outside its part"
            if module == "engine.store" and package in ("ray", "optuna", "torch"):
                yield f"{path.name}:{line}: the store imports {package}"


def cycles(root: Path) -> Problems:
    """Finds modules that import each other at import time or later, directly or through others."""
    known = modules(root)
    edges = {m: {t for name, _ in imports(p) if (t := inside(name, known)) is not None and t != m} for m, p in known.items()}
    reached = reach_of(edges)
    yield from (f"{module} is in an import cycle" for module in sorted(edges) if module in reached[module])


def reach_of(edges: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Node -> all nodes that can be reached from it over at least one edge."""
    reached: dict[str, set[str]] = {}
    for start in edges:
        waiting, seen = list(edges[start]), set()
        while waiting:
            node = waiting.pop()
            if node not in seen:
                seen.add(node)
                waiting += edges[node]
        reached[start] = seen
    return reached


def rings(root: Path) -> Problems:
    """Finds folders that import each other, directly or through others; imports for types and inside functions count."""
    known = modules(root)
    edges: dict[str, set[str]] = {part(module): set() for module in known}
    for module, path in known.items():
        for name, _ in imports(path, for_types=True):
            target = inside(name, known)
            if target is not None and part(target) != part(module):
                edges[part(module)].add(part(target))
    reached = reach_of(edges)
    yield from (f"folder {folder or 'dcdnas'} is in a ring of imports" for folder in sorted(edges) if folder in reached[folder])


def reaches(root: Path) -> Problems:
    """Finds imports of a `_module` from outside its folder."""
    known = modules(root)
    for module, path in known.items():
        for name, line in imports(path, for_types=True):
            target = inside(name, known) or ""
            hidden = next((i for i, step in enumerate(target.split(".")) if step.startswith("_") and step != "__main__"), None)
            home = target.split(".")[:hidden]
            if hidden is not None and module.split(".")[: len(home)] != home:
                yield f"{path.name}:{line}: {module} reaches into {target}"


def fan_out(root: Path) -> Problems:
    """Finds files that import too many modules of the package."""
    known = modules(root)
    for module, path in known.items():
        found = {t for name, _ in imports(path) if (t := inside(name, known)) is not None and t != module}
        if len(found) > MOST_IMPORTED:
            yield f"{module}: imports {len(found)} modules of the package, more than {MOST_IMPORTED}"


def sizes(root: Path) -> Problems:
    """Finds files and functions that are too long."""
    for path in modules(root).values():
        length = len(path.read_text(encoding="utf-8").splitlines())
        if length > MOST_FILE_LINES:
            yield f"{path.name}: {length} lines, more than {MOST_FILE_LINES}"
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > MOST_FUNCTION_LINES:
                    yield f"{path.name}:{node.lineno}: {node.name} has {lines} lines, more than {MOST_FUNCTION_LINES}"


def docstrings(root: Path) -> Problems:
    """Finds public modules, classes, functions and methods without a docstring."""

    def missing(body: list[ast.stmt]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                if not ast.get_docstring(node) and not overloaded(node):
                    yield node
                if isinstance(node, ast.ClassDef):
                    yield from missing(node.body)

    for path in modules(root).values():
        module = tree(path)
        if module.body and not ast.get_docstring(module):
            yield f"{path.name}: no docstring"
        yield from (f"{path.name}:{node.lineno}: {node.name} has no docstring" for node in missing(module.body))


def overloaded(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    return any(ast.unparse(d).endswith(("overload", ".setter")) for d in node.decorator_list)


def banned(root: Path) -> Problems:
    """Finds imports of packages that unpickle, imports of `ONE_PLACE` packages elsewhere, and unsafe calls of `torch.load`."""
    users: dict[str, set[str]] = {}
    for module, path in modules(root).items():
        at_import = {(name, line) for statement in tree(path).body for name, line in named_in(statement)}
        for name, line in imports(path):
            package = name.split(".")[0]
            if package in BANNED:
                yield f"{path.name}:{line}: imports {package}"
            if package in ONE_PLACE:
                users.setdefault(package, set()).add(module)
                if not f"{module}.".startswith(f"{ONE_PLACE[package]}.") or (name, line) in at_import:
                    yield f"{path.name}:{line}: imports {package}, which only a function in {ONE_PLACE[package]} may"
        yield from unsafe_loads(path)
    yield from (f"{package} is imported by {', '.join(sorted(m))}: one file may" for package, m in users.items() if len(m) > 1)


def named_in(statement: ast.stmt) -> Iterator[tuple[str, int]]:
    """Yields the names that a statement imports directly, with their lines."""
    if isinstance(statement, ast.Import):
        yield from ((a.name, statement.lineno) for a in statement.names)
    elif isinstance(statement, ast.ImportFrom):
        yield from ((f"{statement.module}.{a.name}", statement.lineno) for a in statement.names)


def unsafe_loads(path: Path) -> Problems:
    """Finds calls of `torch.load` that would run code from the file."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load" and not safe(node):
            yield f"{path.name}:{node.lineno}: torch.load without weights_only=True"


def safe(call: ast.Call) -> bool:
    return any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in call.keywords)


def unfinished(root: Path) -> Problems:
    """Finds comments that postpone work, such as TO-DO notes."""
    for path in modules(root).values():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
                yield f"{path.name}:{number}: unfinished"


def names(root: Path) -> Problems:
    """Finds modules that hide a public function of the package, and names that say nothing, such as `utils`."""
    for module, path in modules(root).items():
        if module in PUBLIC:
            yield f"{path.name}: {module} is a public function of the package"
        if module.rpartition(".")[2].strip("_") in ("utils", "util", "helpers", "misc", "common"):
            yield f"{path.name}: choose a name to say what is in it"


CHECKS = (layers, heavy, cycles, rings, reaches, fan_out, sizes, docstrings, banned, unfinished, names)
