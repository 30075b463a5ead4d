"""Initialisation of a DCD layer: as a static convolution, or as the published code does."""

from __future__ import annotations

import math

from torch import nn

from dcdnas.operators.dcd._controller import Controller


def static_start(residual: nn.Module, controller: Controller) -> None:
    """Sets P and Lambda's head to zero, so that the residual is 0 and Lambda 1; initialises the rest at unit scale."""
    for name, parameter in residual.named_parameters(recurse=False):
        nn.init.zeros_(parameter) if name == "p" else nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    nn.init.normal_(controller.squeeze.weight, std=math.sqrt(2 / controller.squeeze.in_features))
    if controller.gate is not None:
        nn.init.normal_(controller.gate.weight, std=controller.gate.in_features**-0.5)
    latent = controller.phi_shape[-1]
    assert controller.phi is not None
    nn.init.normal_(controller.phi.weight, std=(controller.phi.in_features * latent) ** -0.5)
    if controller.scale is not None:
        nn.init.zeros_(controller.scale.weight)


def published_start(residual: nn.Module, controller: Controller, rule: str) -> None:
    """Initialises P and Q by Kaiming's fan-out; the controller by PyTorch's default for ResNet's rules, else N(0, 0.01^2)."""
    for name, parameter in residual.named_parameters(recurse=False):
        kaiming_fan_out(parameter) if name != "r" else nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    if rule not in ("bottleneck", "basic"):
        for parameter in controller.parameters():
            nn.init.normal_(parameter, std=0.01)


def kaiming_fan_out(weight: nn.Parameter, groups: int = 1) -> None:
    """Initialises a kernel as that of a static convolution, with Kaiming's normal distribution by fan-out."""
    nn.init.normal_(weight, std=math.sqrt(2 / (weight.shape[0] // groups * weight[0, 0].numel())))
