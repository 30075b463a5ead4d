"""What changes from step to step of a training: the learning rate, and how long temperatures take to fall."""

from __future__ import annotations

import math

from dcdnas.core.task import TrainingTask


def learning_rate(step: int, steps: int, task: TrainingTask, controller: bool = False) -> float:
    """Of one step out of all: rising linearly to the peak over the warm-up, then falling as a half cosine or in steps.

    For controllers times `task.controller_lr`, and rising over `task.controller_warmup` as well.
    """
    warmup = round(task.warmup * steps)
    if step < warmup:
        scale = (step + 1) / warmup
    elif task.schedule == "steps":
        scale = task.step_factor ** (step * task.epochs // (steps * task.step_epochs))
    else:
        scale = (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2
    if controller:
        scale *= task.controller_lr * min(1.0, (step + 1) / max(1, round(task.controller_warmup * steps)))
    return task.lr * scale


def annealing_epochs(task: TrainingTask) -> float:
    """Epochs over which temperatures fall to 1: as said, else a third of all; up to the first rung where that comes sooner.

    Otherwise early stopping would judge operators with a temperature before they do what they are for.
    """
    return min(task.anneal_epochs or task.epochs / 3, task.epochs, task.first_rung or math.inf)
