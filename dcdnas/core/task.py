"""The proxy task: a short training that stands in for the full one, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dcdnas.errors import UsageError

AUGMENTATIONS = ("none", "flip", "crop-flip", "resized-crop")
"""Basic augmentations of the training images."""

SCHEDULES = ("cosine", "steps")
"""Schedules of the learning rate after the warm-up."""

OPTIMIZERS = ("sgd", "adamw")
"""SGD with Nesterov momentum 0.9, or AdamW (Loshchilov and Hutter, ICLR 2019, arXiv:1711.05101)."""

PRECISIONS = ("auto", "float32", "bfloat16", "float16")
"""Dtypes of forward passes: ``auto`` is bfloat16 on a GPU that supports it, float16 on other GPUs, float32 on a CPU."""

_LEGAL: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "classes": (lambda v: v == 0 or v >= 2, "at least 2, or 0 for all"),
    "resolution": (lambda v: v >= 0, "a number of pixels, or 0 for the data set's own"),
    "epochs": (lambda v: v >= 1, "at least 1"),
    "batch_size": (lambda v: v >= 2, "at least 2 (BatchNorm has no statistics of one image)"),
    "lr": (lambda v: 0 < v < float("inf"), "a number above 0"),
    "classifier_width": (lambda v: v >= 0, "a number of features, or 0 for the same rate at any width"),
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


EARLIER_TASK: Mapping[str, Any] = {"classifier_width": 0}
"""Parts of a task that files of earlier versions lack -> the value that they were made with."""

TABLE = "table:"
"""Prefix of `TrainingTask.data` where no network is trained; the name of the benchmark whose table has the results follows."""

OWN = "task:"
"""Prefix of `TrainingTask.data` where a user's own task trains on its own data; the name of the task follows."""


@dataclass(frozen=True, slots=True)
class TrainingTask:
    """A short training that stands in for the full one.

    Args:
        data: name of the data set, e.g. ``fashion-mini`` or ``folder:/data/imagenet``; or a replacement for
            images, see `table` and `own`.
        resolution: side of the images that the proxy trains on, in pixels; 0 keeps the data's own.
        classes: how many of the data's classes the proxy trains on, evenly spaced in their order; 0 for all.
        epochs: passes over the training split.
        batch_size: images per step.
        lr: peak learning rate.
        classifier_width: features up to which the classifier has this rate, too. That of a layer with more features is lower in
            proportion, because no norm bounds its steps; 0 for the same rate at any width.
        weight_decay: weight decay, applied to convolution and linear weights only.
        label_smoothing: label smoothing of the cross entropy.
        warmup: share of all steps over which the learning rate rises linearly.
        augment: ``none``, ``flip``, ``crop-flip``, or ``resized-crop`` with flips.
        controller_lr: factor on the learning rate of the layers that compute the operators' attentions.
        controller_warmup: share of all steps over which this factor rises linearly too; until then a dynamic layer stays near
            its initialisation, which is the static function.
        seed: seed of the trial, for initial weights, order of the images and augmentation.
        deadline: seconds after which the training is terminated as hung; 0 for never.
        first_rung: epoch by which temperatures have reached 1, at which searches of earlier versions compared trainings; 0 for
            none.
        scan: how many of the epochs form a separate short training before the main one. After it a search stops some
            networks, and trains the others from fresh weights for the remaining epochs; 0 for none.
        deployed_side: R, side of the deployed images that the proxy's images stand for: the largest of a space's resolutions. A
            network that is deployed at r pixels trains at r / R of the proxy's size; 0 for each network's own size, so that it
            trains at the full proxy size.
        norm_batches: batches of unaugmented training images on which BatchNorm statistics are re-estimated before each reading;
            0 keeps the statistics of training.
        skip_damaged: how many damaged pictures may be left out: a share below 1, else a number.
        schedule: ``cosine`` to zero, or ``steps`` down by `step_factor` every `step_epochs`.
        step_epochs: epochs between two steps.
        step_factor: factor on the learning rate at each step.
        anneal_epochs: epochs over which temperatures fall to 1, at most up to the first rung; 0 for a third of all.
        clip_norm: largest L2 norm of all gradients together, to which they are clipped; 0 for no limit.
        mixup: alpha of mixup (Zhang et al., ICLR 2018, arXiv:1710.09412), at most 1; 0 for none.
        mixup_ramp: epochs over which the alphas of mixup and CutMix rise linearly from 0.
        optimizer: ``sgd`` or ``adamw``.
        ema: decay per step of a moving average of the weights, which is evaluated and saved; 0 for the weights themselves.
        cutmix: alpha of CutMix (Yun et al., ICCV 2019, arXiv:1905.04899), at most 1; 0 for none.
        randaugment: operations of RandAugment per image (Cubuk et al., 2020, arXiv:1909.13719); 0 for none.
        magnitude: magnitude of these operations, 0 to 10.
        erasing: probability of random erasing (Zhong et al., AAAI 2020, arXiv:1708.04896).
        crop_area: smallest share of the image's area in a resized crop.
        accumulate: parts that a batch is divided into, processed one after the other, whose gradients are averaged.
        precision: dtype of forward passes, see `PRECISIONS`.
        patience: epochs without a better validation accuracy after which the training ends; 0 for never.
        distillation: share of a teacher's distribution in the loss, where there is a teacher (Hinton et al., arXiv:1503.02531).
        distillation_temperature: temperature of both distributions.
        class_balance: b in the weight n^-b of a class in the loss, where n is the number of its training images, or of its
            pixels in masks; the mean weight over all images is 1. 0 for no weighting, 1 for classes with equal total weight.

    Raises:
        UsageError: when a value is not allowed.
    """

    data: str = "fashion-mini"
    resolution: int = 0
    epochs: int = 3
    batch_size: int = 128
    lr: float = 0.4
    classifier_width: int = 160
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
        """The trainings that the task consists of, each from fresh weights and with a full schedule; the last is the result."""
        short = (replace(self, epochs=self.scan, scan=0),) if self.scan else ()
        return (*short, replace(self, epochs=self.epochs - self.scan, scan=0))

    @property
    def table(self) -> str:
        """Name of the benchmark whose table holds the results; empty where networks are trained."""
        return self.data.removeprefix(TABLE) if self.data.startswith(TABLE) else ""

    @property
    def own(self) -> str:
        """Name of the user's task that trains with its own function and data; empty for tasks on images."""
        return self.data.removeprefix(OWN) if self.data.startswith(OWN) else ""


def proxy_input(images: tuple[int, int, int], side: int, largest: int = 0) -> tuple[int, int, int]:
    """Returns the shape (C, H, W) of the images that a proxy trains a network on.

    Args:
        images: (C, H, W) of the proxy's images at their full size.
        side: side of the network's deployed images, in pixels.
        largest: R, side of the deployed images that the full size stands for; 0 for the network's own.
    """
    channels, height, width = images
    share = side / largest if largest else 1.0
    return channels, proxy_side(height, share), proxy_side(width, share)


def proxy_side(side: int, share: float) -> int:
    """Side of a proxy's images, in pixels, for a network at a share of the largest resolution; at least 1."""
    return max(1, round(side * share))
