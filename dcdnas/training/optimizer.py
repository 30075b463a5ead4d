"""The optimizer of a training: which parameters decay, the steps, and the number format that gradients come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dcdnas.core.task import TrainingTask
from dcdnas.operators import DDFUp, Operator

TYPES: Mapping[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def optimizer_of(network: nn.Module, task: TrainingTask) -> torch.optim.Optimizer:
    """What steps a network's parameters as a recipe says."""
    groups = parameter_groups(network, task)
    if task.optimizer == "adamw":
        return torch.optim.AdamW(groups, task.lr, fused=True)
    return torch.optim.SGD(groups, task.lr, momentum=0.9, nesterov=True, fused=True)


def parameter_groups(network: nn.Module, task: TrainingTask) -> list[dict[str, Any]]:
    """Kernels with weight decay, norms and biases without, and controllers without and with a learning rate of their own.

    An operator's kernels are parameters of its own making; the layers inside it that have weights (Linear, Conv2d) are its
    controller, which computes its attentions.
    """
    inside = [m for operator in network.modules() if isinstance(operator, (Operator, DDFUp)) for m in operator.modules()]
    controllers = {id(p) for m in inside if isinstance(m, (nn.Linear, nn.Conv2d)) for p in m.parameters(recurse=False)}
    groups: list[dict[str, Any]] = [
        {"params": [], "weight_decay": task.weight_decay, "controller": False},
        {"params": [], "weight_decay": 0.0, "controller": False},
        {"params": [], "weight_decay": 0.0, "controller": True},
    ]
    for name, parameter in network.named_parameters():
        decayed = parameter.ndim > 1 and not name.endswith("bias")
        groups[2 if id(parameter) in controllers else 0 if decayed else 1]["params"].append(parameter)
    return groups


class Precision:
    """The number format of forward passes and their losses; weights and steps stay float32.

    Args:
        device: that is computed on.
        said: one of `dcdnas.core.task.PRECISIONS`.
    """

    def __init__(self, device: torch.device, said: str = "auto") -> None:
        self.device = device
        self.type = TYPES[said] if said != "auto" else usual(device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.type is torch.float16)

    def autocast(self) -> torch.autocast:
        """The context of a forward pass and its loss."""
        mixed = self.type is not torch.float32
        return torch.autocast(self.device.type, self.type if mixed else None, enabled=mixed)

    def backward(self, loss: Tensor) -> None:
        """Adds the gradients of `loss` to those that are there."""
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def step(self, optimizer: torch.optim.Optimizer, clip: float = 0.0) -> None:
        """One step of the optimizer, with gradients scaled down to the norm `clip` where they exceed it."""
        if clip:
            self.scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], clip)
        self.scaler.step(optimizer)
        self.scaler.update()


def usual(device: torch.device) -> torch.dtype:
    """What a device is usually trained in: bfloat16 on a GPU that has it, float16 on another, float32 elsewhere."""
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
