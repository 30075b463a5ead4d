"""Every operator leaves the process: exported with a batch of any size, read again, and equal at batch 1 and 8."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from contract import image, make, place, refusal

from dcdnas.operators import operators

GEOMETRIES = (place(8, 12, 3, 2), place(8, 24, 1), place(8, 8, 3, groups=8), place(16, 16, 3))
NAMES = sorted(operators)

pytestmark = pytest.mark.slow


def operator_of(name):
    """A random operator in its portable form at the first of the geometries that it takes."""
    geometry = next(g for g in GEOMETRIES if refusal(operators[name], g) is None)
    operator = make(operators[name], geometry).float()
    operator.portable = True
    return operator, geometry


@pytest.mark.parametrize("name", NAMES)
def test_an_exported_program_takes_any_batch(name, tmp_path):
    operator, geometry = operator_of(name)
    program = torch.export.export(operator, (image(geometry, 2, torch.float32),), dynamic_shapes=({0: torch.export.Dim("N")},))
    torch.export.save(program, tmp_path / "operator.pt2")
    loaded = torch.export.load(tmp_path / "operator.pt2").module()
    for batch in (1, 8):
        x = image(geometry, batch, torch.float32)
        torch.testing.assert_close(loaded(x), operator(x), rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", NAMES)
def test_an_onnx_file_takes_any_batch(name):
    onnxruntime = pytest.importorskip("onnxruntime")
    operator, geometry = operator_of(name)
    x, shapes = image(geometry, 2, torch.float32), ({0: torch.export.Dim("N")},)
    program = torch.onnx.export(operator, (x,), dynamic_shapes=shapes, dynamo=True, verbose=False, external_data=False)
    file = io.BytesIO()
    program.save(file)
    session = onnxruntime.InferenceSession(file.getvalue())
    for batch in (1, 8):
        x = image(geometry, batch, torch.float32)
        found = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
        np.testing.assert_allclose(found, operator(x).detach().numpy(), rtol=1e-4, atol=1e-5)
