"""Search spaces for tests, written as YAML and small enough to enumerate every network."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from dcdnas.core.geometry import Setting
from dcdnas.core.yaml_lines import parse_yaml
from dcdnas.space.reading.reader import Compiler
from dcdnas.space.search_space import SearchSpace

HEAD = """\
format: dcdnas/space-1
name: tiny
network: mobilenetv2
input: [1, 16, 16]
classes: 4
"""

BACKBONE = """\
settings:
  channels: [8, 16]
  strides: [1, 2]
  stem_channels: 8
  head_channels: 16
  depth: {stage1: 1, stage2: [1, 2]}
"""

STAGE = """\
  kernel_size: {share: stage, "*": [3, 5]}
  expansion: {share: network, "*": [2, 3]}
slots:
  "*.expand, *.project":
    share: stage
    static:
    odconv: {num_kernels: [1, 2]}
  "*.depthwise":
    share: network
    static:
    dcd:
"""

BLOCK = """\
  width: [0.5, 1.0]
  kernel_size: {stage2.*: [3, 5]}
  expansion: {share: stage, "*": [1, 2]}
slots:
  "stage2.*":
    share: stage
    static:
    dcd: {latent_dim: [half, auto], num_blocks: [1, 2]}
  stage1.block1.project:
    static:
    odconv:
"""

LAYER = """\
  width: 1.0
  kernel_size: {share: network, "*": [3, 5]}
  expansion: 2
slots:
  "stage2.*":
    static:
    dcd:
"""

RULED = """\
  width: [0.5, 1.0]
  kernel_size: {share: stage, "*": [3, 5]}
  expansion: 2
slots:
  "*.project":
    share: stage
    static:
    dcd: {latent_dim: [half, auto]}
forbid:
  - {width: 1.0, stage2.kernel_size: 5}
  - {"*.project.operator": dcd, stage1.kernel_size: 3}
"""

GATED = """\
  kernel_size: {share: stage, "*": [3, 5]}
  expansion: 2
  se: {"stage2.*": [0, 0.25], stage1.block1: 0.5}
  activation: [relu6, hardswish]
slots:
  "*.project":
    share: stage
    static:
    dcd:
"""

GUIDED = """\
  kernel_size: {stage2.block1: [3, 5]}
  expansion: {share: stage, "*": [1, 2]}
slots:
  "stage1.*":
    share: block
    static:
    drconv: {num_regions: 2, num_kernels: 2, guide: shared}
  "stage2.*":
    share: stage
    static:
    condconv: {num_experts: [2, 3], guide: [own, shared]}
    weightnet: {guide: shared}
"""

TINY = {"stage": STAGE, "block": BLOCK, "layer": LAYER, "ruled": RULED, "gated": GATED, "guided": GUIDED}
"""Spaces whose choices are shared in different ways."""


def compile_space(text: str) -> SearchSpace:
    """Compiles a space from its YAML text, under the file name ``space.yaml``."""
    return Compiler(parse_yaml(text, "space.yaml")).space()


def tiny(name: str) -> SearchSpace:
    """Compiles one of the spaces of `TINY`."""
    return compile_space(HEAD + BACKBONE + TINY[name])


def all_outcomes(space: SearchSpace) -> Iterator[dict[str, Setting]]:
    """Yields every outcome of a small space once, by enumerating the options of all decisions."""
    seen = set()
    for values in product(*(d.options for d in space.decisions)):
        wanted = dict(zip([d.name for d in space.decisions], values, strict=True))
        outcome = {n: v for n, v in wanted.items() if _exists(space, n, wanted)}
        key = tuple(outcome.items())
        if key not in seen and not space.forbids(outcome):
            seen.add(key)
            yield outcome


def _exists(space: SearchSpace, name: str, wanted: dict[str, Setting]) -> bool:
    decision = next(d for d in space.decisions if d.name == name)
    return not decision.parent or (wanted[decision.parent] in decision.when and _exists(space, decision.parent, wanted))
