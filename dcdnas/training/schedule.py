"""Schedules of a training: the learning rate of each step, and the epochs over which temperatures are annealed."""

from __future__ import annotations

import math

from dcdnas.core.task import TrainingTask


def learning_rate(step: int, steps: int, task: TrainingTask, controller: bool = False) -> float:
    """Returns the learning rate of one step: a linear warm-up to the peak, then a decay as a half cosine or in steps.

    For controllers the rate is multiplied by `task.controller_lr` and rises over `task.controller_warmup` as well.
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
    """Returns the epochs over which temperatures fall to 1: `task.anneal_epochs`, or a third of all epochs when that is 0.

    Annealing finishes by the first rung in any case. Otherwise early stopping would judge operators with a temperature while
    their attentions are still kept even.
    """
    return min(task.anneal_epochs or task.epochs / 3, task.epochs, task.first_rung or math.inf)
