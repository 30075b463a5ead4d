"""Checks that our layers reproduce the recorded outputs and gradients of published layers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def check_reproduced(operator: nn.Module, vector: Mapping[str, Tensor]) -> None:
    """Asserts that an operator reproduces the published outputs in eval and training mode, and the input gradient in training.

    Args:
        operator: operator in double precision with the published weights.
        vector: ``x``, ``y_eval``, ``y_train`` and ``grad_x``, for a loss that weights the outputs from -1 to 1.
    """
    torch.testing.assert_close(operator.eval()(vector["x"]), vector["y_eval"], rtol=0, atol=1e-9)
    x = vector["x"].clone().requires_grad_()
    y = operator.train()(x)
    torch.testing.assert_close(y, vector["y_train"], rtol=0, atol=1e-9)
    (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)).sum().backward()
    torch.testing.assert_close(x.grad, vector["grad_x"], rtol=0, atol=1e-9)
