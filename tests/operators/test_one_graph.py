"""A compiler that allows for any shape sees one graph of an operator; slow tests of all operators compare what it makes of it."""

from __future__ import annotations

import pytest
import torch

from dcdnas.core.geometry import ConvGeometry
from dcdnas.operators import operators


@pytest.mark.parametrize("name", ["static", pytest.param("dcd", marks=pytest.mark.slow)])
def test_a_compiler_sees_one_graph_for_every_size_of_batch_and_map(name: str) -> None:
    operator = operators[name].at(ConvGeometry(8, 16, 3, 2, height=9, width=9)).eval()
    compiled = torch.compile(operator, fullgraph=True, dynamic=True, backend="eager")
    for shape in ((2, 8, 9, 9), (3, 8, 12, 15)):
        x = torch.randn(shape)
        with torch.inference_mode():
            torch.testing.assert_close(compiled(x), operator(x))
