"""The training loop, used both for a search's short proxy trainings and for full trainings of found networks.

Images stay in memory as bytes; whole batches are augmented and normalised on the device. Unless a recipe says otherwise, SGD
with Nesterov momentum follows a linear warm-up and a cosine (Loshchilov and Hutter, "SGDR", ICLR 2017, arXiv:1608.03983, eq. 5).
A reading uses separately estimated BatchNorm statistics (`dcdnas.training.statistics`). It does not affect the training that
follows, but after the last reading the network keeps that reading's statistics. A training is a function of its seed: on the CPU
two runs give the same bits, and the caller's random state is left unchanged.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import EpochResult, Score
from dcdnas.data import UNLABELLED, Images, Split
from dcdnas.errors import DataError, Diverged, TrainingTimeout
from dcdnas.networks import Network
from dcdnas.training.augment import drawn_crops, normalised, varied
from dcdnas.training.distillation import Teacher
from dcdnas.training.ema import Average, state_of
from dcdnas.training.group import ALONE, Group
from dcdnas.training.judging import class_weights, cross_entropy, judge_of
from dcdnas.training.mixing import drawn
from dcdnas.training.optimizer import Precision, optimizer_of
from dcdnas.training.schedule import annealing_epochs, learning_rate
from dcdnas.training.statistics import put_back, reestimate, statistics_of

WHOLE = slice(None)
"""All images of a batch."""

CHECK_EVERY = 16
"""Steps between two checks that the loss is finite; on a GPU every check waits for the device."""


def train(
    network: Network,
    data: Split,
    task: TrainingTask,
    report: Callable[[EpochResult], bool] = lambda _: True,
    device: torch.device | str = "cpu",
) -> Score:
    """Trains a network and evaluates it on the validation images after every epoch.

    Args:
        network: must already have the data's image size and classes (`dcdnas.networks.for_proxy`). Its weights are trained in
            place, and it is left on `device`, in eval mode.
        data: training and validation images; never written to.
        task: epochs, recipe, seed and deadline. The data set and resolution that it names are ignored here.
        report: called with the result of each epoch; returning False stops the training early.
        device: to train on; on CUDA in mixed precision.

    Returns:
        The result of the last epoch, and the results of all epochs.

    Raises:
        Diverged: when the loss is infinite or NaN.
        TrainingTimeout: when `task.deadline` has passed.
        DataError: when there are too few images for a step.

    Warns:
        UserWarning: when the training finishes before temperatures have fallen to 1.
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
    """The state of a training in progress: `train` runs it, and `dcdnas.training.checkpoint` saves it to a file and restores it.

    Args:
        network: as for `train`.
        data: as for `train`.
        task: as for `train`.
        generator: on the CPU, for the order of the images and their augmentation.
        device: to train on.
        teacher: network whose predictions are learned besides the labels; None for no distillation.
        group: the processes that train the network together.
    """

    def __init__(
        self,
        network: Network,
        data: Split,
        task: TrainingTask,
        generator: torch.Generator,
        device: torch.device | str = "cpu",
        teacher: Teacher | None = None,
        group: Group = ALONE,
    ) -> None:
        self.clock = Clock(task.deadline)
        self.task, self.generator, self.device, self.group = task, generator, torch.device(device), group
        self.images, self.validation = (on_device(part, self.device) for part in data)
        weights = class_weights(self.images, task.class_balance)
        self.weights = weights if weights is None else weights.to(self.device)
        """(K,) weights of the classes in the loss; None when all are 1."""
        self.steps_per_epoch = steps_per_epoch(len(self.images), task)
        self.temperature_steps = math.ceil(self.steps_per_epoch * annealing_epochs(task))
        self.network = network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = optimizer_of(network, task)
        self.precision = Precision(self.device, task.precision)
        self.teacher = teacher.to(self.device, self.images) if teacher else None
        self.average = Average(network, task.ema) if task.ema else None
        self.step = 0
        """Steps done."""
        self.curve: list[EpochResult] = []
        self.order: Tensor | None = None
        """(N,) positions of the images in the order of the current epoch; None between epochs."""
        self.loss = torch.zeros((), device=self.device)
        """Sum of the losses over the steps of the current epoch."""
        self.own: dict[str, Tensor] | None = None
        """Training's own tensors by name while the network still holds those of a reading, so that training can continue from
        them; else None. They are the BatchNorm statistics, or the whole state where the recipe reads with averaged weights."""

    @property
    def done(self) -> bool:
        """Whether all epochs are trained and read, or the first value has not improved for `task.patience` epochs."""
        reached = [next(iter(result.values.values())) for result in self.curve]
        since_best = len(reached) - 1 - reached.index(max(reached)) if reached else 0
        return len(self.curve) == self.task.epochs or 0 < self.task.patience <= since_best

    @property
    def step_of_epoch(self) -> int:
        """Steps done since the last reading."""
        return self.step - len(self.curve) * self.steps_per_epoch

    def steps(self) -> Generator[None, None, None]:
        """Trains the remaining steps of the epoch; after each step the caller may save the training or abandon it."""
        if self.own is not None:
            put_back(self.network, self.own)
            self.own = None
        if self.order is None:
            self.order = self.group.order(len(self.images), self.task.seed, len(self.curve), self.generator)
            self.loss.zero_()
        part = self.group.part(min(self.task.batch_size, len(self.images)))
        at = self.step_of_epoch, len(self.curve), part
        with self.group.learning(self.network):
            self.network.train()
            for x, y in batches(self.images, self.task, self.generator, self.device, self.order, *at):
                self._learn(x, y)
                yield

    def _learn(self, x: Tensor, y: Tensor) -> None:
        """Makes one step on images (N, C, H, W) with labels (N,) or masks (N, H, W)."""
        task, step, epoch = self.task, self.step, len(self.curve)
        self.clock.check(epoch)
        if step < self.temperature_steps:
            self.network.anneal((step + 1) / self.temperature_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, self.steps_per_epoch * task.epochs, task, group["controller"]) * group["scale"]
        loss = self.group.averaged(self.network, self._gradients(x, y))
        self.precision.step(self.optimizer, task.clip_norm)
        if self.average:
            self.average.add(self.network, step)
        if step % CHECK_EVERY == 0:
            check_finite(loss.item(), epoch, task)
        self.loss += loss
        self.step += 1

    def _gradients(self, x: Tensor, y: Tensor) -> Tensor:
        """Computes the gradients of a batch, mixed and split into parts as the recipe says, and returns its loss."""
        self.optimizer.zero_grad(set_to_none=True)
        mix = drawn(tuple(x.shape), self.task, len(self.curve), self.generator)
        y, others, share = (y, y, 1.0) if mix is None else mix.labels(y)
        x = x if mix is None else mix.applied(x)
        pixels = self._labelled_pixels(y)
        total = torch.zeros((), device=self.device)
        for some, labels, partners in zip(*(of.chunk(self.task.accumulate) for of in (x, y, others)), strict=True):
            with self.precision.autocast():
                loss = self._loss(some, labels, partners, share, pixels) * (len(some) / len(x))
            self.precision.backward(loss)
            total += loss.detach()
        return total

    def _labelled_pixels(self, y: Tensor) -> Tensor | None:
        """Returns the mean number () of labelled pixels in the masks (N, H, W) of the whole batch; None for labels (N,).

        The loss of each part of the batch divides by it, so that every labelled pixel of the batch has the same weight. Mixed
        images have the same number of labelled pixels in their partners' masks, which are the same masks in another order.
        """
        if y.dim() == 1:
            return None
        return self.group.total((y != UNLABELLED).sum()).clamp(min=1).double() / (len(y) * self.group.size)

    def _loss(self, x: Tensor, y: Tensor, others: Tensor, share: float, pixels: Tensor | None = None) -> Tensor:
        """Returns the loss of mixed images, whose labels are `y` with weight `share` and `others` with the rest.

        `pixels` is the result of `_labelled_pixels` for the batch that the images are a part of.
        """
        logits, smoothing = self.network(x), self.task.label_smoothing
        divisor = None if pixels is None else pixels * len(x)
        loss = cross_entropy(logits, y, smoothing, weights=self.weights, divisor=divisor)
        if share < 1:
            of_others = cross_entropy(logits, others, smoothing, weights=self.weights, divisor=divisor)
            loss = share * loss + (1 - share) * of_others
        return self.teacher.blended(loss, logits, x, self.task) if self.teacher else loss

    def read(self) -> EpochResult:
        """Evaluates the network after all steps of an epoch.

        Until the next step the network keeps the statistics of this reading (and the averaged weights, where the recipe has
        them), so that evaluating it again gives the same values.
        """
        own = state_of(self.network) if self.average else statistics_of(self.network)
        self.curve.append(self.group.agreed(self._reading, (judge_of(self.images.masks).NAME, "loss")))
        self.own, self.order = own, None
        return self.curve[-1]

    def _reading(self) -> EpochResult:
        task = self.task
        if self.average:
            put_back(self.network, self.average.state)
        reestimate(self.network, self.images, task.norm_batches, task.batch_size, self.device, self.precision.autocast)
        return reading(self.network, self.validation, task, len(self.curve), self.device, self.clock)

    def end(self) -> Score:
        """Leaves the network ready for use, and returns the last reading together with the whole curve."""
        warn_of_temperatures(self.network)
        self.network.eval().to(memory_format=torch.contiguous_format)
        last = self.curve[-1]
        return Score(last.values, last.epoch, last.seconds, tuple(self.curve))


def reading(
    network: Network, validation: Images, task: TrainingTask, epoch: int, device: torch.device, clock: Clock
) -> EpochResult:
    """Evaluates the network on the validation images after an epoch, which is counted from 0."""
    values = evaluate(network, validation, device=device, clock=clock)
    check_finite(values["loss"], epoch, task)
    return EpochResult(epoch + 1, values, clock.seconds)


@torch.inference_mode()
def evaluate(
    network: nn.Module, images: Images, batch_size: int = 0, device: torch.device | str = "cpu", clock: Clock | None = None
) -> dict[str, float]:
    """Evaluates a network on all images, in eval mode; afterwards the network's mode is restored.

    Args:
        network: to evaluate.
        images: to evaluate it on, with labels or masks.
        batch_size: images in a batch; 0 for the images' default.
        device: to compute on.
        clock: carries the deadline; None for no deadline.

    Returns:
        ``accuracy`` for labels or ``mean_iou`` for masks, 0 to 1, and ``loss``, the mean cross entropy.

    Raises:
        TrainingTimeout: when the clock's deadline has passed.
        DataError: when there are no images, or no pixel of their masks has a class.
    """
    if not images.labelled:
        lacking = "no pixel with a class in the masks" if len(images) else "no images"
        raise DataError(f"{images.name}: {lacking} to evaluate on. Allowed: at least one.")
    device, training, precision = torch.device(device), network.training, Precision(torch.device(device))
    images = on_device(images, device)
    judge = judge_of(images.masks)(len(images.classes), device)
    loss = torch.zeros((), dtype=torch.float64, device=device)
    network.eval()
    chunks = torch.arange(len(images), device=images.rows.device).split(batch_size or images.AT_ONCE)  # type: ignore[no-untyped-call]
    for batch in images.intact(chunks):
        if clock:
            clock.check()
        x, y = (part.to(device) for part in batch)
        with precision.autocast():
            logits = network(normalised(x, images.mean, images.std))
        judge.add(logits, y)
        loss += cross_entropy(logits.float(), y, reduction="sum")
    network.train(training)
    return {judge.NAME: judge.value, "loss": loss.item() / max(1, judge.seen)}


def batches(
    images: Images,
    task: TrainingTask,
    generator: torch.Generator,
    device: torch.device,
    order: Tensor | None = None,
    first: int = 0,
    epoch: int = 0,
    part: slice = WHOLE,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields the batches of one epoch: float images (N, C, H, W), and labels (N,) or masks (N, H, W).

    All batches are full. The images that do not fill a last batch are dropped, different ones in each epoch, because in a batch
    of one image BatchNorm would have no statistics, and in a small batch they would be noisy.

    Args:
        images: the training images.
        task: gives the batch size and the augmentation.
        generator: on the CPU, for the order and the augmentation.
        device: that the batches are moved to.
        order: (N,) positions of the images; drawn when left out.
        first: index of the first batch, counted from 0.
        epoch: counted from 0; the resized crops follow from the seed, the epoch and the batch index.
        part: the images of each batch to take.
    """
    size = min(task.batch_size, len(images))
    order = torch.randperm(len(images), generator=generator) if order is None else order
    order = order.to(images.rows.device)
    numbers = range(first, steps_per_epoch(len(images), task))
    crop = task.augment == "resized-crop"
    plan = (
        (
            order[n * size : (n + 1) * size][part],
            drawn_crops(size, task.crop_area, task.seed, epoch, n).part(part) if crop else None,
        )
        for n in numbers
    )
    for batch in images.batches(plan):
        x, y = (part.to(device, non_blocking=True) for part in batch)
        x, y = varied(x, y, task, generator)
        yield normalised(x, images.mean, images.std), y


def steps_per_epoch(images: int, task: TrainingTask) -> int:
    """Returns the number of full batches in an epoch, or 1 for a single smaller batch when the images do not fill one.

    Raises:
        DataError: when there are fewer than two images.
    """
    if images < 2:
        raise DataError(f"too few images to train on: {images}. Allowed: at least 2.")
    return max(1, images // task.batch_size)


def warn_of_temperatures(network: nn.Module) -> None:
    """Warns of layers whose temperature has not reached its final value: they mix their kernels more evenly than intended.

    The final value is 1, or the module's attribute `coldest`.
    """
    annealed = [(name, m, m._buffers["temperature"]) for name, m in network.named_modules() if "temperature" in m._buffers]
    ends = [(name, float(getattr(m, "coldest", 1.0)), float(t)) for name, m, t in annealed if t is not None]
    late = [(name, end, value) for name, end, value in ends if value > end + 1e-6]
    if late:
        name, end, value = late[0]
        warnings.warn(
            f"training finished before the annealing: {name}.temperature is {value:.3g}, not {end:g}, and {len(late) - 1} more. "
            "Train for longer, or fine-tune after network.anneal(1.0).",
            stacklevel=4,
        )


def check_finite(loss: float, epoch: int, task: TrainingTask) -> None:
    """Raises Diverged when `loss` is infinite or NaN."""
    if not math.isfinite(loss):
        raise Diverged(f"epoch {epoch + 1}: the loss is {loss}. Try a lower learning rate than {task.lr:g} or a longer warm-up.")


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[torch.Generator]:
    """Context manager that seeds torch's random numbers with `seed` and restores their previous state afterwards.

    Yields:
        A CPU generator with the same seed, for draws that must not depend on the device.
    """
    device = torch.device(device)
    devices = [device.index or 0] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield torch.Generator().manual_seed(seed)


class Clock:
    """Measures the seconds since it was created, and checks them against a deadline.

    Args:
        deadline: in seconds; 0 for no deadline.
    """

    def __init__(self, deadline: float = 0.0) -> None:
        self.deadline, self._start = deadline, time.monotonic()

    def add(self, seconds: float) -> None:
        """Adds the time that an earlier process spent on the same training."""
        self._start -= seconds

    @property
    def seconds(self) -> float:
        """Seconds since this clock was created, plus the added ones."""
        return time.monotonic() - self._start

    def check(self, epoch: int | None = None) -> None:
        """Raises TrainingTimeout when the deadline has passed."""
        if self.deadline and self.seconds > self.deadline:
            where = "" if epoch is None else f" in epoch {epoch + 1}"
            raise TrainingTimeout(
                f"given up after {self.seconds:.0f} s{where}: the deadline is {self.deadline:g} s. "
                "Allow more time or train for fewer epochs."
            )


def on_device(images: Images, device: torch.device) -> Images:
    """Copies the images to a CUDA device if they take at most half of its free memory; else they are moved by the batch."""
    if device.type != "cuda" or len(images) * math.prod(images.shape) > torch.cuda.mem_get_info(device)[0] // 2:
        return images
    return images.to(device)
