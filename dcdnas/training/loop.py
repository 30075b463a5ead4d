"""Training, top to bottom: the same function is a search's short proxy and a found network's real training.

Images stay in memory as bytes, whole batches are varied and normalised on the device. SGD with Nesterov momentum follows a
linear warm-up and a cosine (Loshchilov and Hutter, "SGDR", ICLR 2017, arXiv:1608.03983, eq. 5, without restarts).
A reading has BatchNorm statistics of its own (`dcdnas.training.statistics`): training goes on as if nothing had been read, and
the network keeps those of the last reading. A training is a function of its seed: on the CPU two runs give the same bits, and
the caller's random state is left alone.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import EpochResult, Score
from dcdnas.data import Images, Split
from dcdnas.errors import DataError, Diverged, TrainingTimeout
from dcdnas.networks import Network
from dcdnas.operators import Operator
from dcdnas.training.augment import augmented, normalised
from dcdnas.training.statistics import put_back, reestimate, statistics_of

CHECK_EVERY = 16
"""Steps between two looks at the loss; on a GPU every look waits for the device."""


def train(
    network: Network,
    data: Split,
    task: TrainingTask,
    report: Callable[[EpochResult], bool] = lambda _: True,
    device: torch.device | str = "cpu",
) -> Score:
    """Trains a network and judges it on the validation images after every epoch.

    Args:
        network: already of the data's image size and classes (`dcdnas.networks.for_proxy`); its weights are trained in place
            and it is left on `device`, in eval mode.
        data: what to learn from and what to be judged on; never written to.
        task: epochs, recipe, seed and deadline; which data and resolution it names does not matter here.
        report: told the state after each epoch; False ends the training early.
        device: to train on. On CUDA in mixed precision.

    Returns:
        The last report and all before it.

    Raises:
        Diverged: when the loss is infinite or NaN.
        TrainingTimeout: when `task.deadline` has passed.
        DataError: when there are too few images for a step.

    Warns:
        UserWarning: when it ends before temperatures have fallen to 1.
    """
    with seeded(task.seed, device) as generator:
        training = Training(network, data, task, generator, device)
        while not training.done:
            for _ in training.steps():
                pass
            if not report(training.read()):
                break
        return training.end()


class Training:
    """A training under way: `train` runs through it, and `dcdnas.training.checkpoint` keeps it in a file and restores it.

    Args:
        network: as for `train`.
        data: likewise.
        task: likewise.
        generator: on the CPU, for the order of the images and their variations.
        device: to train on.
    """

    def __init__(
        self, network: Network, data: Split, task: TrainingTask, generator: torch.Generator, device: torch.device | str = "cpu"
    ) -> None:
        self.clock = Clock(task.deadline)
        self.task, self.generator, self.device = task, generator, torch.device(device)
        self.images, self.validation = (on_device(part, self.device) for part in data)
        self.steps_per_epoch = steps_per_epoch(len(self.images), task)
        self.temperature_steps = math.ceil(self.steps_per_epoch * annealing_epochs(task))
        self.network = network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.SGD(parameter_groups(network, task), task.lr, momentum=0.9, nesterov=True, fused=True)
        self.precision = Precision(self.device)
        self.step = 0
        """Steps done."""
        self.curve: list[EpochResult] = []
        self.order: Tensor | None = None
        """(N,) positions of the images in the order of the epoch under way; None between epochs."""
        self.loss = torch.zeros((), device=self.device)
        """Sum of the losses of the epoch's steps."""
        self.own: list[dict[str, Tensor]] | None = None
        """Training's own BatchNorm statistics, while the network has those of a reading; else None."""

    @property
    def done(self) -> bool:
        """Whether all epochs are trained and read."""
        return len(self.curve) == self.task.epochs

    @property
    def step_of_epoch(self) -> int:
        """Steps done since the last reading."""
        return self.step - len(self.curve) * self.steps_per_epoch

    def steps(self) -> Iterator[None]:
        """Trains what is left of the epoch; between two steps the training may be kept, and given up."""
        if self.own is not None:
            put_back(self.network, self.own)
            self.own = None
        if self.order is None:
            self.order = torch.randperm(len(self.images), generator=self.generator)
            self.loss.zero_()
        self.network.train()
        for x, y in batches(self.images, self.task, self.generator, self.device, self.order, self.step_of_epoch):
            self._learn(x, y)
            yield

    def _learn(self, x: Tensor, y: Tensor) -> None:
        """One step, on (N, C, H, W) floats and (N,) labels."""
        task, step, epoch = self.task, self.step, len(self.curve)
        self.clock.check(epoch)
        if step < self.temperature_steps:
            self.network.anneal((step + 1) / self.temperature_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, self.steps_per_epoch * task.epochs, task, group["controller"])
        share, partner = mixed(len(x), task, epoch, self.generator) if task.mixup else (1.0, None)
        with self.precision.autocast():
            if partner is None:
                loss = F.cross_entropy(self.network(x), y, label_smoothing=task.label_smoothing)
            else:
                partner = partner.to(self.device)
                logits = self.network(x.lerp(x[partner], 1 - share))
                pair = (F.cross_entropy(logits, of, label_smoothing=task.label_smoothing) for of in (y, y[partner]))
                loss = share * next(pair) + (1 - share) * next(pair)
        self.precision.step(loss, self.optimizer, task.clip_norm)
        if step % CHECK_EVERY == 0:
            check_finite(loss.item(), epoch, task)
        self.loss += loss.detach()
        self.step += 1

    def read(self) -> EpochResult:
        """Ends an epoch whose steps are done: what the network is worth. It keeps the statistics of this reading until the next
        step, so that it repeats the reading.
        """
        own, task = statistics_of(self.network), self.task
        reestimate(self.network, self.images, task.norm_batches, task.batch_size, self.device, self.precision.autocast)
        self.curve.append(reading(self.network, self.validation, task, len(self.curve), self.device, self.clock))
        self.own, self.order = own, None
        return self.curve[-1]

    def end(self) -> Score:
        """Leaves the network ready for use; the last reading, and all before it."""
        warn_of_temperatures(self.network)
        self.network.eval().to(memory_format=torch.contiguous_format)
        last = self.curve[-1]
        return Score(last.values, last.epoch, last.seconds, tuple(self.curve))


def reading(
    network: Network, validation: Images, task: TrainingTask, epoch: int, device: torch.device, clock: Clock
) -> EpochResult:
    """What the network is worth after an epoch, counted from 0."""
    accuracy, loss = evaluate(network, validation, device=device, clock=clock)
    check_finite(loss, epoch, task)
    return EpochResult(epoch + 1, {"accuracy": accuracy, "loss": loss}, clock.seconds)


@torch.inference_mode()
def evaluate(
    network: nn.Module, images: Images, batch_size: int = 512, device: torch.device | str = "cpu", clock: Clock | None = None
) -> tuple[float, float]:
    """Accuracy, 0-1, and mean cross entropy over all images, in eval mode; the network's mode is restored.

    Raises:
        TrainingTimeout: when the clock's deadline has passed.
        DataError: when there are no images.
    """
    if not len(images):
        raise DataError(f"{images.name}: no images to evaluate on. Allowed: at least one.")
    device, training, precision = torch.device(device), network.training, Precision(torch.device(device))
    images = on_device(images, device)
    right, loss = torch.zeros((), device=device), torch.zeros((), dtype=torch.float64, device=device)
    network.eval()
    for rows in torch.arange(len(images), device=images.rows.device).split(batch_size):  # type: ignore[no-untyped-call]
        if clock:
            clock.check()
        x, y = (part.to(device) for part in images.batch(rows))
        with precision.autocast():
            logits = network(normalised(x, images.mean, images.std))
        right += (logits.argmax(1) == y).sum()
        loss += F.cross_entropy(logits.float(), y, reduction="sum")
    network.train(training)
    return right.item() / len(images), loss.item() / len(images)


def batches(
    images: Images,
    task: TrainingTask,
    generator: torch.Generator,
    device: torch.device,
    order: Tensor | None = None,
    first: int = 0,
) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch: (N, C, H, W) floats and (N,) labels, in an order of its own.

    All batches are full. What is left over is dropped, other images in each epoch: a last batch of one would leave BatchNorm
    without statistics, and a small one would make them noisy.

    Args:
        images: of the training part.
        task: size of a batch and how its images are varied.
        generator: on the CPU, of the order and the variations.
        device: that batches go to.
        order: (N,) positions of the images; drawn when left out.
        first: batch to begin with, counted from 0.
    """
    size = min(task.batch_size, len(images))
    order = torch.randperm(len(images), generator=generator) if order is None else order
    order = order.to(images.rows.device)
    for batch in range(first, steps_per_epoch(len(images), task)):
        rows = order[batch * size : (batch + 1) * size]
        x, y = (part.to(device, non_blocking=True) for part in images.batch(rows))
        yield normalised(augmented(x, task.augment, generator), images.mean, images.std), y


def steps_per_epoch(images: int, task: TrainingTask) -> int:
    """Full batches in an epoch; one smaller batch where the images do not fill any.

    Raises:
        DataError: when there are not even two images.
    """
    if images < 2:
        raise DataError(f"too few images to train on: {images}. Allowed: at least 2.")
    return max(1, images // task.batch_size)


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


def mixed(images: int, task: TrainingTask, epoch: int, generator: torch.Generator) -> tuple[float, Tensor]:
    """How a batch is mixed with itself in an epoch, counted from 0: the share of each image, and (N,) which other one it gets."""
    alpha = task.mixup * min(1.0, (epoch + 1) / max(1, task.mixup_ramp))
    return beta(alpha, generator), torch.randperm(images, generator=generator)


def beta(alpha: float, generator: torch.Generator) -> float:
    """A draw from Beta(alpha, alpha), alpha at most 1, by Jöhnk's method; in logarithms, since small ones underflow."""
    while True:
        u, v = torch.rand(2, dtype=torch.float64, generator=generator).log() / alpha
        if torch.logaddexp(u, v) <= 0:
            return float(torch.sigmoid(u - v))


def annealing_epochs(task: TrainingTask) -> float:
    """Epochs over which temperatures fall to 1: as said, else a third of all; up to the first rung where that comes sooner.

    Otherwise early stopping would judge operators with a temperature before they do what they are for.
    """
    return min(task.anneal_epochs or task.epochs / 3, task.epochs, task.first_rung or math.inf)


def warn_of_temperatures(network: nn.Module) -> None:
    """Warns of temperatures that have not fallen to 1: such a layer mixes its kernels more evenly than it was made to."""
    late = {name: float(b) for name, b in network.named_buffers() if name.endswith("temperature") and float(b) > 1 + 1e-6}
    if late:
        name, value = next(iter(late.items()))
        warnings.warn(
            f"training ended before the annealing: {name} is {value:.3g}, not 1, and {len(late) - 1} more. Train for longer, or "
            "fine-tune after network.anneal(1.0).",
            stacklevel=4,
        )


def parameter_groups(network: nn.Module, task: TrainingTask) -> list[dict[str, Any]]:
    """Kernels with weight decay, norms and biases without, and controllers without and with a learning rate of their own.

    An operator's kernels are parameters of its own making; the layers inside it that have weights (Linear, Conv2d) are its
    controller, which computes its attentions.
    """
    inside = [m for operator in network.modules() if isinstance(operator, Operator) for m in operator.modules()]
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


def check_finite(loss: float, epoch: int, task: TrainingTask) -> None:
    """Raises Diverged when `loss` is infinite or NaN."""
    if not math.isfinite(loss):
        raise Diverged(f"epoch {epoch + 1}: the loss is {loss}. Try a lower learning rate than {task.lr:g} or a longer warm-up.")


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[torch.Generator]:
    """Within this context torch's random numbers follow `seed`; afterwards they go on as if nothing had been drawn.

    Yields:
        A CPU generator of the same seed, for draws that must not depend on the device.
    """
    device = torch.device(device)
    devices = [device.index or 0] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield torch.Generator().manual_seed(seed)


class Clock:
    """Seconds since it was made, and a deadline on them.

    Args:
        deadline: in seconds; 0 never.
    """

    def __init__(self, deadline: float = 0.0) -> None:
        self.deadline, self._start = deadline, time.monotonic()

    def add(self, seconds: float) -> None:
        """Counts time that an earlier process took."""
        self._start -= seconds

    @property
    def seconds(self) -> float:
        """Since this clock was made."""
        return time.monotonic() - self._start

    def check(self, epoch: int | None = None) -> None:
        """Raises TrainingTimeout when the deadline has passed."""
        if self.deadline and self.seconds > self.deadline:
            where = "" if epoch is None else f" in epoch {epoch + 1}"
            raise TrainingTimeout(
                f"given up after {self.seconds:.0f} s{where}: the deadline is {self.deadline:g} s. "
                "Allow more time or train for fewer epochs."
            )


class Precision:
    """Mixed precision on CUDA (bfloat16, or float16 with scaled gradients on GPUs without it), plain float32 elsewhere."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.type = torch.bfloat16 if device.type != "cuda" or torch.cuda.is_bf16_supported() else torch.float16
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.type is torch.float16)

    def autocast(self) -> torch.autocast:
        """The context of a forward pass and its loss."""
        return torch.autocast(self.device.type, self.type, enabled=self.device.type == "cuda")

    def step(self, loss: Tensor, optimizer: torch.optim.Optimizer, clip: float = 0.0) -> None:
        """Gradients of `loss`, scaled down to the norm `clip` where they exceed it, and one step of the optimizer."""
        optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if clip:
            self.scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], clip)
        self.scaler.step(optimizer)
        self.scaler.update()


def on_device(images: Images, device: torch.device) -> Images:
    """The images on the device where they take less than half of its free memory; else they stay and travel batch by batch."""
    if device.type != "cuda" or len(images) * math.prod(images.shape) > torch.cuda.mem_get_info(device)[0] // 2:
        return images
    return images.to(device)
