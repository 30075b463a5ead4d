"""A short training that stands in for the real one, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dcdnas.errors import UsageError

AUGMENTATIONS = ("none", "flip", "crop-flip", "resized-crop")
"""How a training varies its images."""

SCHEDULES = ("cosine", "steps")
"""How the learning rate falls after the warm-up."""

OPTIMIZERS = ("sgd", "adamw")
"""SGD with Nesterov momentum 0.9, or AdamW (Loshchilov and Hutter, ICLR 2019, arXiv:1711.05101)."""

PRECISIONS = ("auto", "float32", "bfloat16", "float16")
"""Number format of forward passes: ``auto`` is bfloat16 on a GPU that has it, float16 on another, float32 on a CPU."""

_LEGAL: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "classes": (lambda v: v == 0 or v >= 2, "at least 2, or 0 for all"),
    "resolution": (lambda v: v >= 0, "a number of pixels, or 0 for the data set's own"),
    "epochs": (lambda v: v >= 1, "at least 1"),
    "batch_size": (lambda v: v >= 2, "at least 2 (BatchNorm has no statistics of one image)"),
    "lr": (lambda v: 0 < v < float("inf"), "a number above 0"),
    "weight_decay": (lambda v: 0 <= v < float("inf"), "0 or more"),
    "label_smoothing": (lambda v: 0 <= v < 1, "0 or more, below 1"),
    "warmup": (lambda v: 0 <= v < 1, "a share of all steps: 0 or more, below 1"),
    "augment": (lambda v: v in AUGMENTATIONS, ", ".join(AUGMENTATIONS)),
    "controller_lr": (lambda v: 0 <= v < float("inf"), "a multiple of the learning rate: 0 or more"),
    "controller_warmup": (lambda v: 0 <= v < 1, "a share of all steps: 0 or more, below 1"),
    "deadline": (lambda v: v >= 0, "seconds, or 0 for never"),
    "first_rung": (lambda v: v >= 0, "an epoch, or 0 for never"),
    "scan": (lambda v: v >= 0, "a number of epochs, or 0 for none"),
    "skip_damaged": (lambda v: 0 <= v < float("inf"), "a share below 1, or a number of pictures"),
    "norm_batches": (lambda v: v >= 0, "a number of batches, or 0 for training's own statistics"),
    "schedule": (lambda v: v in SCHEDULES, ", ".join(SCHEDULES)),
    "step_epochs": (lambda v: v >= 1, "at least 1"),
    "step_factor": (lambda v: 0 < v <= 1, "above 0, at most 1"),
    "anneal_epochs": (lambda v: 0 <= v < float("inf"), "a number of epochs, or 0 for a third of all"),
    "clip_norm": (lambda v: 0 <= v < float("inf"), "a norm, or 0 for no clipping"),
    "mixup": (lambda v: 0 <= v <= 1, "0 to 1"),
    "cutmix": (lambda v: 0 <= v <= 1, "0 to 1"),
    "mixup_ramp": (lambda v: v >= 0, "a number of epochs, or 0 for none"),
    "optimizer": (lambda v: v in OPTIMIZERS, ", ".join(OPTIMIZERS)),
    "ema": (lambda v: 0 <= v < 1, "a decay below 1, or 0 for no average"),
    "randaugment": (lambda v: v >= 0, "a number of operations, or 0 for none"),
    "magnitude": (lambda v: 0 <= v <= 10, "0 to 10"),
    "erasing": (lambda v: 0 <= v <= 1, "a probability: 0 to 1"),
    "crop_area": (lambda v: 0 < v <= 1, "a share of the image's area: above 0, at most 1"),
    "accumulate": (lambda v: v >= 1, "at least 1"),
    "precision": (lambda v: v in PRECISIONS, ", ".join(PRECISIONS)),
    "patience": (lambda v: v >= 0, "a number of epochs, or 0 for all"),
    "distillation": (lambda v: 0 <= v <= 1, "a share of the loss: 0 to 1"),
    "distillation_temperature": (lambda v: 0 < v < float("inf"), "a number above 0"),
    "class_balance": (lambda v: 0 <= v <= 1, "0 to 1"),
    "deployed_side": (lambda v: v >= 0, "a number of pixels, or 0 for the network's own"),
}


TABLE = "table:"
"""How `TrainingTask.data` begins where nothing is trained, before the name of the benchmark whose table has the results."""

OWN = "task:"
"""How `TrainingTask.data` begins where a task of somebody's own trains on data of its own, before the name of the task."""


@dataclass(frozen=True, slots=True)
class TrainingTask:
    """A short training that stands in for the real one.

    Args:
        data: name of the data set, e.g. ``fashion-mini`` or ``folder:/data/imagenet``; or what takes the
            place of images, see `table` and `own`.
        resolution: side of the images the proxy trains on, in pixels; 0 keeps the data's own.
        classes: how many of the data's classes the proxy trains on, evenly spaced in their order; 0 for all.
        epochs: passes over the training part.
        batch_size: images a step.
        lr: peak learning rate.
        weight_decay: on convolution and linear weights only.
        label_smoothing: of the cross entropy.
        warmup: share of all steps in which the learning rate rises linearly.
        augment: ``none``, ``flip``, ``crop-flip``, or ``resized-crop`` with flips.
        controller_lr: times the learning rate, for what computes the operators' attentions.
        controller_warmup: share of all steps in which that rate rises linearly as well; until then a dynamic layer stays near
            its start, the static function.
        seed: of the trial: initial weights, order of the images, augmentation.
        deadline: seconds after which the training is given up as hung; 0 never.
        first_rung: epoch by which temperatures have reached 1, where a search of an earlier version compared trainings; 0 never.
        scan: of the epochs, the first ones that are a short training of their own: after its end a search stops some networks,
            and trains the others afresh for the rest of the epochs; 0 for none.
        deployed_side: R, side of the deployed images that the proxy's images stand for: the largest of a space's resolutions. A
            network that is deployed at r pixels trains at r / R of the proxy's size; 0 stands for its own size, so all of it.
        norm_batches: batches of unaugmented training images on which BatchNorm statistics are re-estimated before each reading;
            0 reads with training's own.
        skip_damaged: damaged pictures that may be left out: a share below 1, else a number.
        schedule: ``cosine`` to zero, or ``steps`` down by `step_factor` every `step_epochs`.
        step_epochs: epochs between two steps.
        step_factor: what the learning rate is multiplied with at each.
        anneal_epochs: epochs over which temperatures fall to 1, at most up to the first rung; 0 for a third of all.
        clip_norm: L2 norm of all gradients that is not exceeded; 0 for no limit.
        mixup: alpha of mixup (Zhang et al., ICLR 2018, arXiv:1710.09412), at most 1; 0 for none.
        mixup_ramp: epochs over which the alphas of mixup and CutMix rise linearly from 0.
        optimizer: ``sgd`` or ``adamw``.
        ema: decay a step of an average of the weights, with which the network is judged and kept; 0 for the weights themselves.
        cutmix: alpha of CutMix (Yun et al., ICCV 2019, arXiv:1905.04899), at most 1; 0 for none.
        randaugment: operations of RandAugment an image (Cubuk et al., 2020, arXiv:1909.13719); 0 for none.
        magnitude: of those, 0 to 10.
        erasing: probability of random erasing (Zhong et al., AAAI 2020, arXiv:1708.04896).
        crop_area: smallest share of the image's area in a resized crop.
        accumulate: parts that a batch is cut into, one after the other in memory, whose gradients are averaged.
        precision: see `PRECISIONS`.
        patience: epochs without a better validation accuracy after which the training ends; 0 for never.
        distillation: share of a teacher's distribution in the loss, where there is a teacher (Hinton et al., arXiv:1503.02531).
        distillation_temperature: of both distributions.
        class_balance: b in the weight of a class in the loss, n^-b for n training images of it, or pixels of masks; their mean
            over all images is 1. 0 for none, 1 for classes that weigh alike.

    Raises:
        UsageError: when a value cannot be trained with.
    """

    data: str = "fashion-mini"
    resolution: int = 0
    epochs: int = 3
    batch_size: int = 128
    lr: float = 0.1
    weight_decay: float = 1e-4
    label_smoothing: float = 0.1
    warmup: float = 0.1
    augment: str = "flip"
    controller_lr: float = 1.0
    controller_warmup: float = 0.0
    seed: int = 0
    deadline: float = 0.0
    first_rung: int = 0
    classes: int = 0
    deployed_side: int = 0
    skip_damaged: float = 0.0
    norm_batches: int = 10
    schedule: str = "cosine"
    step_epochs: int = 30
    step_factor: float = 0.1
    anneal_epochs: float = 0.0
    clip_norm: float = 0.0
    mixup: float = 0.0
    mixup_ramp: int = 0
    optimizer: str = "sgd"
    ema: float = 0.0
    cutmix: float = 0.0
    randaugment: int = 0
    magnitude: float = 9.0
    erasing: float = 0.0
    crop_area: float = 0.08
    accumulate: int = 1
    precision: str = "auto"
    patience: int = 0
    distillation: float = 0.5
    distillation_temperature: float = 1.0
    class_balance: float = 0.0
    scan: int = 0

    def __post_init__(self) -> None:
        for name, (legal, allowed) in _LEGAL.items():
            value = getattr(self, name)
            if not legal(value):
                raise UsageError(f"{name} cannot be {value!r}. Allowed: {allowed}.")
        if self.scan >= self.epochs:
            raise UsageError(f"scan cannot be {self.scan} of {self.epochs} epochs. Allowed: fewer, or 0 for none.")

    @property
    def stages(self) -> tuple[TrainingTask, ...]:
        """The trainings that it consists of, each from fresh weights and on a whole schedule; the last one is the result."""
        short = (replace(self, epochs=self.scan, scan=0),) if self.scan else ()
        return (*short, replace(self, epochs=self.epochs - self.scan, scan=0))

    @property
    def table(self) -> str:
        """The benchmark in whose table the results are looked up; empty where networks are trained."""
        return self.data.removeprefix(TABLE) if self.data.startswith(TABLE) else ""

    @property
    def own(self) -> str:
        """The task that trains with a function and data of its own; empty for those on images."""
        return self.data.removeprefix(OWN) if self.data.startswith(OWN) else ""


def proxy_input(images: tuple[int, int, int], side: int, largest: int = 0) -> tuple[int, int, int]:
    """(C, H, W) of the images that a proxy trains a network on.

    Args:
        images: (C, H, W) of the proxy's images at their full size.
        side: of the network's deployed images, in pixels.
        largest: R, side of the deployed images that the full size stands for; 0 for the network's own.
    """
    channels, height, width = images
    share = side / largest if largest else 1.0
    return channels, proxy_side(height, share), proxy_side(width, share)


def proxy_side(side: int, share: float) -> int:
    """Pixels of a proxy's side that stand for a share of the largest resolution; at least 1."""
    return max(1, round(side * share))
