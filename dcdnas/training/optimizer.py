"""The optimizer of a training: parameter groups with their weight decay, the steps, and the precision of the gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dcdnas.core.task import TrainingTask
from dcdnas.operators import DDFUp, DynamicActivation, Operator

TYPES: Mapping[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def optimizer_of(network: nn.Module, task: TrainingTask) -> torch.optim.Optimizer:
    """Makes the optimizer of a network's parameters that the recipe names."""
    groups = parameter_groups(network, task)
    if task.optimizer == "adamw":
        return torch.optim.AdamW(groups, task.lr, fused=True)
    return torch.optim.SGD(groups, task.lr, momentum=0.9, nesterov=True, fused=True)


def parameter_groups(network: nn.Module, task: TrainingTask) -> list[dict[str, Any]]:
    """Splits a network's parameters into kernels, norms with biases, controllers, and what has a learning rate of its own.

    Only kernels and classifiers have weight decay, and controllers have a separate learning rate. The Linear and Conv2d layers
    inside an operator or a dynamic activation are its controller, which computes coefficients from the input; the operator's
    kernels are parameters of the operator itself. `scale` is a factor on the learning rate of a group.
    """
    dynamic = (Operator, DDFUp, DynamicActivation)
    inside = [m for operator in network.modules() if isinstance(operator, dynamic) for m in operator.modules()]
    controllers = {id(p) for m in inside if isinstance(m, (nn.Linear, nn.Conv2d)) for p in m.parameters(recurse=False)}
    groups: list[dict[str, Any]] = [
        {"params": [], "weight_decay": task.weight_decay, "controller": False, "scale": 1.0},
        {"params": [], "weight_decay": 0.0, "controller": False, "scale": 1.0},
        {"params": [], "weight_decay": 0.0, "controller": True, "scale": 1.0},
    ]
    slower = wide_classifiers(network, task.classifier_width) | (fast_controllers(network) if task.optimizer == "sgd" else {})
    scaled: dict[tuple[int, float], dict[str, Any]] = {}
    for name, parameter in network.named_parameters():
        kind = 2 if id(parameter) in controllers else 0 if _decays(name, parameter) else 1
        scale = slower.get(id(parameter), 1.0)
        group = groups[kind]
        if scale != 1:
            group = scaled.setdefault((kind, scale), {**group, "params": [], "scale": scale})
        group["params"].append(parameter)
    return [*groups, *scaled.values()]


def _decays(name: str, parameter: Tensor) -> bool:
    """Whether a parameter is a weight and not a bias, which may have one row for each kernel, or a norm's factor."""
    return parameter.ndim > 1 and not name.endswith("bias")


def fast_controllers(network: nn.Module) -> dict[int, float]:
    """Identity of each parameter of a controller that has a learning rate of its own -> the factor on it."""
    operators = [m for m in network.modules() if isinstance(m, Operator) and m.controller_rate != 1]
    return {id(p): m.controller_rate for m in operators for p in m.controller_parameters()}


def wide_classifiers(network: nn.Module, width: int) -> dict[int, float]:
    """Identity of each weight of a classifier with more than `width` features -> `width` / features.

    The classifier's layers are the linear layers among the network's direct children. No norm follows them, so the curvature of
    the loss in their weights grows with the squared length of the features, and limits the learning rate of the whole network.
    """
    found: dict[int, float] = {}
    for layer in network.children():
        features = layer.in_features if isinstance(layer, nn.Linear) else 0
        if isinstance(layer, Operator) and layer.AXES == 2:
            features = layer.in_channels
        if width and features > width:
            found |= {id(p): width / features for name, p in layer.named_parameters(recurse=False) if _decays(name, p)}
    return found


class Precision:
    """The dtype of forward passes and their losses; weights and optimizer steps stay in float32.

    Args:
        device: to compute on.
        said: one of `dcdnas.core.task.PRECISIONS`.
    """

    def __init__(self, device: torch.device, said: str = "auto") -> None:
        self.device = device
        self.type = TYPES[said] if said != "auto" else usual(device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.type is torch.float16)

    def autocast(self) -> torch.autocast:
        """Returns the context manager for a forward pass and its loss."""
        mixed = self.type is not torch.float32
        return torch.autocast(self.device.type, self.type if mixed else None, enabled=mixed)

    def backward(self, loss: Tensor) -> None:
        """Adds the gradients of `loss` to the present gradients."""
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def step(self, optimizer: torch.optim.Optimizer, clip: float = 0.0) -> None:
        """Makes one optimizer step; gradients whose norm exceeds `clip` are scaled down to it, unless `clip` is 0."""
        if clip:
            self.scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], clip)
        self.scaler.step(optimizer)
        self.scaler.update()


def usual(device: torch.device) -> torch.dtype:
    """Returns the default training dtype of a device: bfloat16 on a GPU that supports it, else float16; float32 on a CPU."""
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
