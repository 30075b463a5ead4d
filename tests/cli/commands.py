"""Runs commands in this process, and writes a project small enough for real searches within seconds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcdnas.cli import main
from dcdnas.data import load

SPACE = """\
format: dcdnas/space-1
name: tiny
network: mobilenetv2
input: [1, 28, 28]
classes: 10
settings:
  channels: [8, 16]
  strides: [2, 2]
  stem_channels: 8
  stem_stride: 2
  head_channels: 16
  depth: 1
  width: [1.0, 2.0]
  kernel_size: {share: network, "*": [3, 5]}
  expansion: {share: network, "*": [2, 3]}
slots:
  "*.expand, *.project":
    share: network
    static:
    odconv: {num_kernels: 1}
proxy:
  data: npz:some.npz
  epochs: 1
  batch_size: 32
  augment: none
"""
"""Sixteen networks, most of them within the budget of `SEARCH`."""

SEARCH = (
    "search",
    "tiny.yaml",
    "-b",
    "0.3MFLOPs",
    "--executor",
    "inline",
    "--no-early-stopping",
    "--set",
    "starts=3",
    "--confirm",
    "0",
)


@dataclass(frozen=True)
class Said:
    """The output of a command, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Said]


def command_in(folder: Path, *words: str) -> None:
    """Runs a command in a folder, and asserts that it succeeds; for searches that many tests share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DCDNAS_RUNS", raising=False)
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code in (0, None)


def write_project(folder: Path) -> None:
    """Writes a space file and 240 of the images that ship."""
    folder.joinpath("tiny.yaml").write_text(SPACE, encoding="utf-8")
    folder.joinpath("some.npz").write_bytes(_some_images())


@cache
def _some_images() -> bytes:
    images, file = load("fashion-mini"), BytesIO()
    pixels, labels = images.pixels[:240].numpy(), images.labels[:240].numpy()
    train, test = slice(0, 200), slice(200, 240)
    np.savez(
        file,
        train_images=pixels[train], train_labels=labels[train], test_images=pixels[test], test_labels=labels[test],
        classes=np.array(images.classes),
    )  # fmt: skip
    return file.getvalue()
