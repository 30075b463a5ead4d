"""Runs exported ONNX files, and compares them with their networks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn


def check_computes_the_same(path: Path, network: nn.Module, shape: tuple[int, ...], batches: tuple[int, ...]) -> None:
    """Asserts that an ONNX file and a network agree on random (N, *shape) images per batch size; skips without onnxruntime."""
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for batch in batches:
        x = torch.randn(batch, *shape)
        (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        with torch.no_grad():
            torch.testing.assert_close(torch.from_numpy(found), network(x), rtol=1e-4, atol=1e-5)
