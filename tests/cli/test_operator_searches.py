"""Searches over what layers share and what stands in few of them only, each to its end: trained, exported, loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from commands import Run
from onnx_files import check_computes_the_same

import dcdnas
from dcdnas.engine.samplers import samplers
from dcdnas.results import load_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

MOBILE: Mapping[str, Any] = {
    "channels": [8, 16], "strides": [1, 2], "stem_channels": 8, "stem_stride": 2, "head_channels": 16, "width": [0.5, 1.0],
    "depth": [1, 2], "expansion": {"share": "block", "*": [2, 3]},
}  # fmt: skip
RESNET: Mapping[str, Any] = {
    "block": "basic", "stem": "small", "channels": [8, 16], "strides": [1, 2], "stem_channels": 8, "width": [0.5, 1.0],
    "depth": [1, 2],
}  # fmt: skip
HAMBURGER = {"rank": [0, 2], "steps": [1, 3], "decomposition": ["nmf", "vq", "cd"]}
SHARES = ["layer", "block", "stage", "network"]
DYNET = {"num_kernels": [2, 6], "mixing": "channel", "act": "sigmoid", "reduction": "none", "guide": ["own", "shared"]}

SPACES: Mapping[str, Mapping[str, Any]] = {
    "warehouses": {
        "network": "resnet",
        "settings": RESNET,
        "slots": {
            "*.conv1, *.conv2": {
                "share": "network",
                "static": None,
                "odconv": None,
                "kernel-warehouse": {"budget": [0.25, 0.5, 1, 2], "share": SHARES},
            }
        },
    },
    "pointwise-warehouses": {
        "settings": MOBILE,
        "slots": {
            "*.expand, *.project": {
                "share": "stage",
                "static": None,
                "kernel-warehouse": {"budget": [0.5, 1], "out_parts": [1, 2], "share": SHARES[:3]},
            }
        },
    },
    "depthwise": {
        "settings": MOBILE,
        "slots": {
            "*.depthwise": {
                "share": "stage",
                "static": None,
                "atconv": {"pool": ["grid", "bands"]},
                "idconv": {"num_kernels": [2, 4], "reduction": [4, 8]},
                "involution": {"group_channels": [4, 8]},
                "lsconv": {"large": [5, 7]},
                "mixconv": {"num_sizes": [2, 3], "partition": ["equal", "exponential"]},
                "kernel-warehouse": {"share": ["layer", "stage"]},
            }
        },
    },
    "ghost": {
        "settings": MOBILE,
        "slots": {
            "*.expand": {"static": None, "ghost": {"ratio": [2, 4], "ghost_size": [3, 5]}},
            "*.project": {"static": None, "ghost": {"act": "none"}},
        },
    },
    "dynet": {"settings": MOBILE, "slots": {"stage*": {"share": "network", "static": None, "dyconv": DYNET}}},
    "dymn": {
        "network": "mobilenetv3",
        "settings": {name: value for name, value in MOBILE.items() if name not in ("expansion", "stem_stride")},
        "slots": {
            "stage*": {
                "share": "block",
                "dyconv": {"guide": "shared", "reduction": 4},
                "condconv": {"num_experts": 2, "guide": ["own", "shared"]},
            }
        },
    },
    "activations": {
        "settings": {**MOBILE, "activation": {"share": "stage", "*": ["relu6", "dyrelu", "dyshiftmax"]}},
        "slots": {"*.depthwise": {"static": None, "dcd": None}},
    },
    "hamburger": {
        "settings": {**MOBILE, "context": {"stage1": {"hamburger": HAMBURGER}, "stage2": {"hamburger": {"rank": [0, 4]}}}},
        "slots": {"*.depthwise": {"static": None, "involution": None}},
    },
    "decoder": {
        "head": "decoder",
        "input": [3, 16, 16],
        "classes": 3,
        "settings": {
            **{name: value for name, value in MOBILE.items() if name != "head_channels"},
            "decoder_channels": [8, 16],
            "upsampling": ["bilinear", "ddf-up"],
        },
        "slots": {
            "decoder.*": {
                "share": "network",
                "static": None,
                "ddf": None,
                "kernel-warehouse": {"budget": [0.5, 1], "share": ["layer", "network"]},
            }
        },
    },
}  # fmt: skip
"""Spaces of a few hundred networks and more, in which what is shared is searched, too."""

SAMPLERS = [name for name in samplers if name != "gp"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: images of three and ten classes, some with masks; no spaces, no runs."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 10
    pictures = (20 * labels[:, None, None, None] + rng.integers(0, 60, (60, 1, 12, 12))).astype(np.uint8)
    halves = {"train": slice(48), "test": slice(48, 60)}
    arrays = {f"{k}_images": pictures[v] for k, v in halves.items()} | {f"{k}_labels": labels[v] for k, v in halves.items()}
    np.savez(tmp_path / "labels.npz", **arrays)
    masks = rng.integers(0, 3, (40, 4, 4)).repeat(4, 1).repeat(4, 2)
    scenes = (60 * masks[:, None] + rng.integers(0, 60, (40, 3, 16, 16))).astype(np.uint8)
    np.savez(
        tmp_path / "masks.npz",
        train_images=scenes[:30], train_masks=masks[:30], test_images=scenes[30:], test_masks=masks[30:],
        classes=np.array(["sky", "road", "tree"]),
    )  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DCDNAS_RUNS", raising=False)
    monkeypatch.setenv("COLUMNS", "160")
    return tmp_path


def write_space(folder: Path, name: str) -> str:
    """Writes a space's file, and names the data of its images."""
    data = "npz:masks.npz" if "head" in SPACES[name] else "npz:labels.npz"
    plain = {"format": "dcdnas/space-1", "name": name, "network": "mobilenetv2", "input": [1, 12, 12], "classes": 10}
    proxy = {"data": data, "epochs": 1, "batch_size": 16, "augment": "none"}
    (folder / "space.yaml").write_text(
        yaml.safe_dump({**plain, **SPACES[name], "proxy": proxy}, sort_keys=False), encoding="utf-8"
    )
    return data


def searched(run: Run, sampler: str, *more: str) -> None:
    """Searches the space: the first trainings, and then enough for every sampler to make proposals of its own."""
    search = ("search", "space.yaml", "-b", "2MFLOPs", "--executor", "inline", "--confirm", "0", "--set", "starts=4")
    said = run(*search, "-n", "9", "--sampler", sampler, "--name", "found", "--keep-weights", "all", *more)
    assert said.code == 0, said.err


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", SPACES)
def test_every_sampler_searches_it_and_goes_on(name: str, sampler: str, project: Path, run: Run) -> None:
    write_space(project, name)
    searched(run, sampler)
    said = run("resume", "found", "-n", "+4")
    assert said.code == 0, said.err
    trials = load_run("found").trials
    finished = [t for t in trials if t.state == "finished"]
    assert len(finished) == 13, [(t.state, t.reason) for t in trials]
    assert len({t.deployed for t in finished}) == 13, "no network is trained twice"
    assert {t.origin for t in finished} >= {sampler}, {t.origin for t in finished}


@pytest.mark.parametrize("name", SPACES)
def test_the_best_network_is_trained_exported_and_loaded(name: str, project: Path, run: Run) -> None:
    pytest.importorskip("onnx")
    data = write_space(project, name)
    searched(run, "random")
    for words in (
        ("search", "space.yaml", "-b", "2MFLOPs", "--executor", "inline", "--dry-run"),
        ("show", "found"),
        ("train", "found", "-d", data, "--epochs", "1", "-o", "kept"),
        ("export", "kept/seed-0", "--to", "config,torch,onnx,pt2", "-o", "model"),
        ("evaluate", "kept/seed-0", "-d", data),
    ):
        said = run(*words)
        assert said.code == 0, (words, said.err)
    network = dcdnas.load(Path("model")).eval()
    again = dcdnas.load(Path("kept") / "seed-0").eval()
    shape = network.architecture.input
    x = torch.rand(2, *shape)
    with torch.no_grad():
        torch.testing.assert_close(network(x), again(x))
    check_computes_the_same(Path("model") / "model.onnx", network, shape, batches=(1, 3))
