"""Generates parts of the pages in docs/operators: pictures, tables of settings and of costs, and the table of the index.

    python benchmarks/operator_pages.py            prints the tables of costs
    python benchmarks/operator_pages.py --write    updates the pages and pictures

A generated part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``. The column with the meanings of the settings is
written by people and kept as it is. The picture is drawn from the page's comment ``drawing``, see `operator_pictures.py`.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

from operator_pictures import described, drawn

from dcdnas.core.architecture import LayerChoice
from dcdnas.core.dimension import dimensions
from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.cost import Parts, slot_parts
from dcdnas.errors import GeometryError
from dcdnas.networks import Slot
from dcdnas.operators import operators

NAMES = sorted(set(operators) - {"static"})
FOLDER = Path(__file__).parents[1] / "docs" / "operators"
LAYERS: Mapping[str, ConvGeometry] = {
    "pointwise, 64 to 384, 14 x 14": ConvGeometry(64, 384, 1, height=14, width=14),
    "depthwise 3 x 3, 384, 14 x 14": ConvGeometry(384, 384, 3, groups=384, height=14, width=14),
    "dense 3 x 3, 64 to 64, 56 x 56": ConvGeometry(64, 64, 3, height=56, width=56),
}
"""Two layers of MobileNetV2 and one of ResNet-18 at 224 x 224."""


def parts(name: str, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str = "") -> Parts:
    """Multiply-adds of a layer by their purpose: convolution, dynamic part, controller."""
    return slot_parts(Slot("layer", geometry), LayerChoice(name, settings, form))


def parameters(name: str, geometry: ConvGeometry) -> int:
    """Number of parameters of a layer without bias."""
    return sum(p.numel() for p in operators[name].at(geometry).parameters())


def cost(name: str) -> str:
    """The table of costs as Markdown: multiply-adds of each form at each of the layers, with the counted form in bold."""
    head = "| layer | form | convolution | dynamic part | controller | sum | of static | parameters |"
    rows, refused = [], []
    for layer, geometry in LAYERS.items():
        try:
            rows += cost_rows(name, layer, geometry)
        except GeometryError as error:
            refused.append(f"Refused, {layer}: {error}")
    return "\n".join([head, "| --- | --- |" + " ---: |" * 6, *rows, *(line for text in refused for line in ("", text))])


def cost_rows(name: str, layer: str, geometry: ConvGeometry) -> Iterator[str]:
    """Yields the rows of one layer."""
    operator, stored = operators[name], parameters(name, geometry)
    settings = operator.resolve(geometry)
    static = operators["static"].multiply_adds(geometry, {})
    for form in operator.forms(geometry, settings):
        found = parts(name, geometry, settings, form)
        mark = "**" if form == operator.counted_form(geometry, settings) else ""
        numbers = " | ".join(f"{n:,}" for n in (found.convolution, found.dynamic, found.controller))
        shown = f"{mark}`{form}`{mark}" if form else "the only one"
        yield f"| {layer} | {shown} | {numbers} | {mark}{found.whole:,}{mark} | {found.whole / static:.3f} | {stored:,} |"


def settings(name: str, page: str) -> str:
    """The table of settings as Markdown, with the meanings that the page already has."""
    meanings = dict(re.findall(r"^\| `(\w+)` \|.*\| ([^|\n]+) \|$", page, re.MULTILINE))
    head = "| setting | allowed | default | meaning |\n| --- | --- | --- | --- |"
    return "\n".join([head, *(f"| `{key}` | {shown} | {meanings.get(key, '')} |" for key, shown in allowed(operators[name]))])


def allowed(operator: type[Any]) -> Iterator[tuple[str, str]]:
    """Yields each setting with its allowed values and default: first those that can be searched, then the others."""
    searched, hints = dimensions(operator), get_type_hints(operator.__init__)
    for key, dimension in searched.items():
        default = str(dimension.default).lower() if isinstance(dimension.default, bool) else dimension.default
        yield key, f"{dimension.allowed} | {default}"
    for key, parameter in inspect.signature(operator.__init__).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY and key not in searched:
            words = ", ".join(get_args(hints[key])) or {int: "a whole number", float: "a number", str: "a name"}[hints[key]]
            default = parameter.default if isinstance(parameter.default, str) else f"{parameter.default:g}"
            yield key, f"{words}; not searched | {default or 'none'}"


def drawing(page: str) -> str:
    """The page's comment ``drawing``, from which its picture is drawn.

    Raises:
        ValueError: when the page does not have exactly one such comment.
    """
    found = re.findall(r"<!-- drawing\n(.*?)\n-->", page, re.DOTALL)
    if len(found) != 1:
        raise ValueError(f"{len(found)} comments `drawing`, not one.")
    return str(found[0])


def picture(name: str, page: str) -> str:
    """The Markdown of the page's picture, with its description as alternative text."""
    return f"![{described(drawing(page))}](pictures/{name}.svg)"


def index() -> str:
    """The table of the index: each operator's multiply-adds and parameters as multiples of the static layer's."""
    layers = " | ".join(layer.split(",")[0] for layer in LAYERS)
    head = f"| operator | what it is | {layers} |\n| --- | --- |" + " ---: |" * len(LAYERS)
    return "\n".join([head, *(f"| [`{name}`]({name}.md) | {title(name)} | {' | '.join(multiples(name))} |" for name in NAMES)])


def title(name: str) -> str:
    """Title of an operator's page after the colon."""
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8").splitlines()[0].partition(": ")[2]


def multiples(name: str) -> Iterator[str]:
    """Yields the cells of an operator in the table of the index."""
    for geometry in LAYERS.values():
        try:
            resolved = operators[name].resolve(geometry)
        except GeometryError:
            yield "refused"
            continue
        flops = parts(name, geometry, resolved).whole / parts("static", geometry, {}).whole
        yield f"{flops:.2f}, {parameters(name, geometry) / parameters('static', geometry):.2f}"


def renewed(page: str, **blocks: str) -> str:
    """The page with its generated parts replaced by `blocks`.

    Raises:
        ValueError: when the page does not have the marks of each part exactly once.
    """
    for name, text in blocks.items():
        pattern = rf"(<!-- generated: {name} -->\n).*?(<!-- end -->)"
        page, found = re.subn(pattern, lambda m, text=text: f"{m[1]}{text}\n{m[2]}", page, flags=re.DOTALL)
        if found != 1:
            raise ValueError(f"{found} places for {name!r}, not one.")
    return page


def files() -> Iterator[tuple[Path, str]]:
    """Yields every generated file with its text; the index comes last because it quotes the pages."""
    for name in NAMES:
        path = FOLDER / f"{name}.md"
        page = path.read_text(encoding="utf-8")
        yield path, renewed(page, picture=picture(name, page), settings=settings(name, page), cost=cost(name))
        yield FOLDER / "pictures" / f"{name}.svg", drawn(name, drawing(page))
    path = FOLDER / "README.md"
    yield path, renewed(path.read_text(encoding="utf-8"), index=index())


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        for written, content in files():
            written.write_text(content, encoding="utf-8")
    else:
        print("\n\n".join(f"{name}\n{cost(name)}" for name in NAMES))
