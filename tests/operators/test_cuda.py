"""Every form of every operator runs on a CUDA device, forward and backward, and computes what it computes on the CPU."""

from __future__ import annotations

import copy

import pytest
import torch
from contract import forms, image, make, supported

from dcdnas.operators import operators

pytestmark = pytest.mark.gpu
PLACES = [pytest.param(name, g, id=f"{name}-{g}".replace(" ", "-")) for name in operators for g in supported(name)[:4]]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("name", "geometry"), PLACES)
def test_the_output_is_that_of_the_cpu(name, geometry, layout):
    x = image(geometry)
    for settings, form in forms(name, geometry):
        operator = make(operators[name], geometry, **settings)
        operator.form = form
        moved = copy.deepcopy(operator).to("cuda", memory_format=layout)
        with torch.inference_mode():
            found = moved(x.to("cuda", memory_format=layout))
        torch.testing.assert_close(found.cpu(), operator(x).detach(), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("name", "geometry"), PLACES)
def test_the_gradients_are_those_of_the_cpu(name, geometry):
    operator = make(operators[name], geometry).train()
    for form in operator.training_forms(geometry, operator._settings()):
        gradients = []
        for device in ("cpu", "cuda"):
            moved = copy.deepcopy(operator).to(device)
            moved.training_form = form
            x = image(geometry).to(device).requires_grad_()
            moved(x).square().sum().backward()
            gradients.append([x.grad.cpu(), *(p.grad.cpu() for p in moved.parameters())])
        for ours, theirs in zip(*gradients, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-7)
