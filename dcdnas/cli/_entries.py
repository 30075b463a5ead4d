"""What the folders of entries hold, read from their source: names, what they are, and their search dimensions. Imports none."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dcdnas.core.catalogue import Catalogue
from dcdnas.core.dimension import Choice, Dimension
from dcdnas.core.plugins import loaded
from dcdnas.core.yaml_lines import read_yaml

KINDS = {"float": "a number", "float | None": "a number or null", "int": "a whole number", "str": "a word"}
"""What a preset's settings may be, by their types."""


@dataclass(frozen=True)
class Entry:
    """One entry of a folder.

    Args:
        name: as in YAML and on the command line.
        about: a sentence.
        dimensions: what a search, or who builds a preset, may choose: setting, what is allowed, default.
    """

    name: str
    about: str
    dimensions: tuple[tuple[str, str, str], ...] = ()


def entries(folder: str, kind: str) -> list[Entry]:
    """All entries of the package ``dcdnas.FOLDER``."""
    catalogue: Catalogue[object] = Catalogue(folder, kind)
    return [_entry(name, catalogue.source(name)) for name in catalogue]


def plugin_entries() -> list[Entry]:
    """The operators of one's own that this command has loaded."""
    return [_entry(p.name, ast.parse(p.text)) for p in loaded()]


def preset_entries() -> list[Entry]:
    """All published networks, by source and name, with the settings of the functions that make them."""
    found = []
    catalogue: Catalogue[object] = Catalogue("published", "published source")
    for name in catalogue:
        tree = catalogue.source(name)
        functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        for preset, maker in _presets(tree).items():
            function = functions[maker]
            args = next(f.args for f in ast.walk(function) if isinstance(f, ast.FunctionDef) and f.args.kwonlyargs)
            settings = zip(args.kwonlyargs, args.kw_defaults, strict=True)
            dimensions = tuple(
                (a.arg, KINDS[ast.unparse(a.annotation or a)], ast.unparse(d).strip("'")) for a, d in settings if d
            )
            found.append(Entry(f"{name}/{preset}", first_sentence(ast.get_docstring(function) or ""), dimensions))
    return found


def data_entries() -> list[Entry]:
    """All data sets as a person writes them: ``NAME``, ``NAME:DIR`` or ``NAME[:DIR]``."""
    catalogue: Catalogue[object] = Catalogue("data", "data set")
    found = []
    for name in catalogue:
        tree = catalogue.source(name)
        argument = next((v for n, v in _constants(tree) if n == "ARGUMENT"), _inherited_argument(tree))
        shown = f"{name}[:{argument[1:]}" if argument.startswith("[") else f"{name}:{argument}" if argument else name
        found.append(Entry(shown, first_sentence(ast.get_docstring(tree) or "")))
    return found


def space_entries() -> list[Entry]:
    """All spaces that ship, with their descriptions."""
    files = sorted((Path(__file__).parents[1] / "search_spaces").glob("*.yaml"))
    return [Entry(path.stem, str(read_yaml(path).data.get("description", ""))) for path in files]


def first_sentence(text: str) -> str:
    """The first sentence of a docstring, on one line and without its marks."""
    paragraph = " ".join(text.strip().split("\n\n")[0].split())
    return re.split(r"(?<=\.)(?<!e\.g\.)\s", paragraph, maxsplit=1)[0].rstrip(".:").replace("``", "`")


def _entry(name: str, tree: ast.Module) -> Entry:
    exported = next((v for n, v in _assignments(tree.body) if n == "__all__"), None)
    first = ast.literal_eval(exported)[0] if exported is not None else ""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == first]
    constructor = [f for c in classes for f in c.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"]
    return Entry(name, first_sentence(ast.get_docstring(tree) or ""), tuple(d for f in constructor for d in _dimensions(f, tree)))


def _dimensions(function: ast.FunctionDef, tree: ast.Module) -> Iterator[tuple[str, str, str]]:
    for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        hint = argument.annotation
        if not (isinstance(hint, ast.Subscript) and isinstance(hint.value, ast.Name) and hint.value.id == "Annotated"):
            continue
        parts = hint.slice.elts if isinstance(hint.slice, ast.Tuple) else []
        call = next((p for p in parts if isinstance(p, ast.Call) and getattr(p.func, "id", "") == "Choice"), None)
        if call is not None:
            words = {node.id for p in parts if p is not call for node in ast.walk(p) if isinstance(node, ast.Name)}
            types = tuple(t for t in (int, float, bool, str) if t.__name__ in words)
            values: dict[str, Any] = {k.arg: _value(k.value, tree) for k in call.keywords if k.arg}
            dimension = Dimension(argument.arg, types, Choice(**values), None)
            yield argument.arg, dimension.allowed, "" if default is None else ast.unparse(default).strip("'")


def _value(node: ast.expr, tree: ast.Module) -> object:
    """A literal, also by a name of this module or of one that it imports; or ``tuple(NAME)`` of a table, as its keys."""
    if isinstance(node, ast.Name):
        return ast.literal_eval(_named(node.id, tree))
    if isinstance(node, ast.Call) and isinstance(node.args[0], ast.Name):
        table = dict(_assignments(tree.body)).get(node.args[0].id)
        return tuple(ast.literal_eval(k) for k in table.keys if k is not None) if isinstance(table, ast.Dict) else ()
    return ast.literal_eval(node)


def _named(name: str, tree: ast.Module) -> ast.expr:
    """What a module says a name is, or the module of the package that it imports it from."""
    found = dict(_assignments(tree.body)).get(name)
    if found is not None:
        return found
    source = next(n.module for n in tree.body if isinstance(n, ast.ImportFrom) and n.module and name in {a.name for a in n.names})
    path = Path(__file__).parents[1].joinpath(*source.split(".")[1:]).with_suffix(".py")
    return _named(name, ast.parse(path.read_text(encoding="utf-8")))


def _assignments(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    for node in body:
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(target, ast.Name) and isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            yield target.id, node.value


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        for name, value in _assignments(node.body) if isinstance(node, ast.ClassDef) else ():
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield name, value.value


def _inherited_argument(tree: ast.Module) -> str:
    """The argument that the class of a private module, on which the entry is built, gives to those below it."""
    modules = [n.module for n in tree.body if isinstance(n, ast.ImportFrom) and n.module and n.module.startswith("dcdnas.data._")]
    for module in modules:
        path = Path(__file__).parents[1] / "data" / f"{module.rpartition('.')[2]}.py"
        private = ast.parse(path.read_text(encoding="utf-8"))
        found = [value for name, value in _constants(private) if name == "ARGUMENT" and value]
        if found:
            return found[0]
    return ""


def _presets(tree: ast.Module) -> dict[str, str]:
    """The keys of the tables that are given as `presets`, and the functions that are named first in their values."""
    named = dict(_assignments(tree.body))
    tables = [k.value for node in ast.walk(tree) if isinstance(node, ast.Call) for k in node.keywords if k.arg == "presets"]
    tables = [named.get(t.id, t) if isinstance(t, ast.Name) else t for t in tables]
    found: dict[str, str] = {}
    for node in (node for table in tables for node in ast.walk(table)):
        if isinstance(node, ast.Dict):
            found |= {str(ast.literal_eval(k)): _maker(v) for k, v in zip(node.keys, node.values, strict=True) if k is not None}
        if isinstance(node, ast.DictComp):
            loop = node.generators[0]
            key = compile(ast.Expression(node.key), "<preset>", "eval")
            variable = ast.unparse(loop.target)
            keys = [eval(key, {"__builtins__": {}}, {variable: value}) for value in ast.literal_eval(loop.iter)]
            found |= dict.fromkeys(map(str, keys), _maker(node.value))
    return found


def _maker(preset: ast.expr) -> str:
    """``mobilenetv2_dcd`` of ``Preset(mobilenetv2_dcd, ...)``, ``resnet_dcd`` of ``Preset(resnet_dcd(18), ...)``."""
    assert isinstance(preset, ast.Call)
    first = preset.args[0]
    return ast.unparse(first.func if isinstance(first, ast.Call) else first)
