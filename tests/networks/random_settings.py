"""Random complete settings of every backbone, for property tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.slot import UPSAMPLING
from dcdnas.networks import slots_of
from dcdnas.networks._activations import SEARCHED_ACTIVATIONS


@st.composite
def architectures(draw: st.DrawFn, network: str, head: str = "") -> Architecture:
    """Draws a small architecture of `network` with a head: every setting is random, and some layers are named explicitly."""
    stages = draw(st.integers(1, 3))
    depth = draw(st.lists(st.integers(1, 2), min_size=stages, max_size=stages))
    least = 0.25 if network in ("resnet", "shufflenetv2") else 1.0
    settings: dict[str, Any] = {
        "width": draw(st.sampled_from([0.25, 0.5, 1.0, 1.5])),
        "channels": draw(st.lists(st.sampled_from([8, 16, 24]), min_size=stages, max_size=stages)),
        "strides": draw(st.lists(st.sampled_from([1, 2]), min_size=stages, max_size=stages)),
        "depth": depth,
        "kernel_size": [[draw(st.sampled_from([1, 3, 5])) for _ in range(blocks)] for blocks in depth],
        "expansion": [[draw(st.sampled_from([least, 1.0, 2.0, 3.5])) for _ in range(blocks)] for blocks in depth],
        "stem_channels": draw(st.sampled_from([8, 16])),
        "se": [[draw(st.sampled_from([0, 0.1, 0.25, 1])) for _ in range(blocks)] for blocks in depth],
        "activation": [draw(st.sampled_from(SEARCHED_ACTIVATIONS)) for _ in depth],
    }
    if network == "mobilenetv3":
        settings["head_channels"], settings["embedding"] = draw(st.sampled_from([(16, 24), (32, 16)]))
        settings["stem_stride"] = draw(st.sampled_from([1, 2]))
    elif network == "shufflenetv2":
        settings["stem"] = draw(st.sampled_from(["imagenet", "medium", "small"]))
        settings["head_channels"] = draw(st.sampled_from([16, 32]))
    elif network == "nas-bench-macro":
        for name in ("kernel_size", "expansion"):
            del settings[name]
        settings["block"] = [[draw(st.sampled_from(["identity", "ir-3x3-t3", "ir-5x5-t6"])) for _ in range(b)] for b in depth]
        settings["head_channels"] = draw(st.sampled_from([16, 32]))
    elif network == "mobilenetv2":
        settings["head_channels"] = draw(st.sampled_from([0, 32]))
        settings["stem_stride"] = draw(st.sampled_from([1, 2]))
    else:
        settings["block"] = draw(st.sampled_from(["basic", "bottleneck"]))
        settings["stem"] = draw(st.sampled_from(["imagenet", "medium", "small"]))
    size = draw(st.integers(9, 20)), draw(st.integers(9, 20))
    if head:
        settings["decoder_channels"] = draw(st.sampled_from([1, 8, 12, 24]))
        settings["upsampling"] = draw(st.sampled_from(UPSAMPLING))
    plain = Architecture(network, settings, {}, (draw(st.sampled_from([1, 3])), *size), draw(st.integers(2, 12)), head)
    named = draw(st.lists(st.sampled_from([s.name for s in slots_of(plain) if s.kind == "conv"]), max_size=3))
    return replace(plain, layers=dict.fromkeys(named, LayerChoice("static")))
