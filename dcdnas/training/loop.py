"""Training, top to bottom: the same function is a search's short proxy and a found network's real training.

Images stay in memory as bytes, whole batches are varied and normalised on the device. Unless a recipe says otherwise, SGD with
Nesterov momentum follows a linear warm-up and a cosine (Loshchilov and Hutter, "SGDR", ICLR 2017, arXiv:1608.03983, eq. 5).
A reading has BatchNorm statistics of its own (`dcdnas.training.statistics`): training goes on as if nothing had been read, and
the network keeps those of the last reading. A training is a function of its seed: on the CPU two runs give the same bits, and
the caller's random state is left alone.
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
from dcdnas.data import Images, Split
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
        teacher: whose answers it learns beside the labels; None for none.
        group: the processes that train it together.
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
        """(K,) of the classes in the loss; None where all are 1."""
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
        """(N,) positions of the images in the order of the epoch under way; None between epochs."""
        self.loss = torch.zeros((), device=self.device)
        """Sum of the losses of the epoch's steps."""
        self.own: dict[str, Tensor] | None = None
        """What training goes on with, while the network has what a reading was taken with; else None. By name: the statistics
        of BatchNorms, or all weights where a recipe reads with their average."""

    @property
    def done(self) -> bool:
        """Whether all epochs are trained and read, or what it reaches has not risen for as many as the recipe waits."""
        reached = [next(iter(result.values.values())) for result in self.curve]
        since_best = len(reached) - 1 - reached.index(max(reached)) if reached else 0
        return len(self.curve) == self.task.epochs or 0 < self.task.patience <= since_best

    @property
    def step_of_epoch(self) -> int:
        """Steps done since the last reading."""
        return self.step - len(self.curve) * self.steps_per_epoch

    def steps(self) -> Generator[None, None, None]:
        """Trains what is left of the epoch; between two steps the training may be kept, and given up."""
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
        """One step, on (N, C, H, W) floats and (N,) labels or (N, H, W) masks."""
        task, step, epoch = self.task, self.step, len(self.curve)
        self.clock.check(epoch)
        if step < self.temperature_steps:
            self.network.anneal((step + 1) / self.temperature_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, self.steps_per_epoch * task.epochs, task, group["controller"])
        loss = self.group.averaged(self.network, self._gradients(x, y))
        self.precision.step(self.optimizer, task.clip_norm)
        if self.average:
            self.average.add(self.network, step)
        if step % CHECK_EVERY == 0:
            check_finite(loss.item(), epoch, task)
        self.loss += loss
        self.step += 1

    def _gradients(self, x: Tensor, y: Tensor) -> Tensor:
        """Those of a batch, mixed with itself as the recipe says, in as many parts; its loss."""
        self.optimizer.zero_grad(set_to_none=True)
        mix = drawn(tuple(x.shape), self.task, len(self.curve), self.generator)
        y, others, share = (y, y, 1.0) if mix is None else mix.labels(y)
        x = x if mix is None else mix.applied(x)
        total = torch.zeros((), device=self.device)
        for some, labels, partners in zip(*(of.chunk(self.task.accumulate) for of in (x, y, others)), strict=True):
            with self.precision.autocast():
                loss = self._loss(some, labels, partners, share) * (len(some) / len(x))
            self.precision.backward(loss)
            total += loss.detach()
        return total

    def _loss(self, x: Tensor, y: Tensor, others: Tensor, share: float) -> Tensor:
        """Of images that have a share of the labels `y` and the rest of `others`."""
        logits, smoothing = self.network(x), self.task.label_smoothing
        loss = cross_entropy(logits, y, smoothing, weights=self.weights)
        if share < 1:
            loss = share * loss + (1 - share) * cross_entropy(logits, others, smoothing, weights=self.weights)
        return self.teacher.blended(loss, logits, x, self.task) if self.teacher else loss

    def read(self) -> EpochResult:
        """Ends an epoch whose steps are done: what the network is worth. It keeps the statistics of this reading, and the average
        of the weights where there is one, until the next step, so that it repeats the reading.
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
        """Leaves the network ready for use; the last reading, and all before it."""
        warn_of_temperatures(self.network)
        self.network.eval().to(memory_format=torch.contiguous_format)
        last = self.curve[-1]
        return Score(last.values, last.epoch, last.seconds, tuple(self.curve))


def reading(
    network: Network, validation: Images, task: TrainingTask, epoch: int, device: torch.device, clock: Clock
) -> EpochResult:
    """What the network is worth after an epoch, counted from 0."""
    values = evaluate(network, validation, device=device, clock=clock)
    check_finite(values["loss"], epoch, task)
    return EpochResult(epoch + 1, values, clock.seconds)


@torch.inference_mode()
def evaluate(
    network: nn.Module, images: Images, batch_size: int = 0, device: torch.device | str = "cpu", clock: Clock | None = None
) -> dict[str, float]:
    """What a network reaches on all images, in eval mode; the network's mode is restored.

    Args:
        network: to judge.
        images: to judge it on, with labels or masks.
        batch_size: images at once; 0 for what suits the images.
        device: to compute on.
        clock: with a deadline; None for none.

    Returns:
        ``accuracy`` of labels, or ``mean_iou`` of masks, 0 to 1; and ``loss``, the mean cross entropy.

    Raises:
        TrainingTimeout: when the clock's deadline has passed.
        DataError: when there are no images.
    """
    if not len(images):
        raise DataError(f"{images.name}: no images to evaluate on. Allowed: at least one.")
    device, training, precision = torch.device(device), network.training, Precision(torch.device(device))
    images = on_device(images, device)
    judge = judge_of(images.masks)(len(images.classes), device)
    loss = torch.zeros((), dtype=torch.float64, device=device)
    network.eval()
    chunks = torch.arange(len(images), device=images.rows.device).split(batch_size or images.AT_ONCE)  # type: ignore[no-untyped-call]
    for batch in images.batches((rows, None) for rows in chunks):
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
    """One epoch: (N, C, H, W) floats, and (N,) labels or (N, H, W) masks, in an order of its own.

    All batches are full. What is left over is dropped, other images in each epoch: a last batch of one would leave BatchNorm
    without statistics, and a small one would make them noisy.

    Args:
        images: of the training part.
        task: size of a batch and how its images are varied.
        generator: on the CPU, of the order and the variations.
        device: that batches go to.
        order: (N,) positions of the images; drawn when left out.
        first: batch to begin with, counted from 0.
        epoch: counted from 0; with the seed and the batch it decides resized crops.
        part: which images of each batch.
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
    """Full batches in an epoch; one smaller batch where the images do not fill any.

    Raises:
        DataError: when there are not even two images.
    """
    if images < 2:
        raise DataError(f"too few images to train on: {images}. Allowed: at least 2.")
    return max(1, images // task.batch_size)


def warn_of_temperatures(network: nn.Module) -> None:
    """Warns of temperatures that have not fallen to the end: such a layer mixes its kernels more evenly than it was made to.

    The end is 1, or what the module calls its `coldest`.
    """
    annealed = [(name, m, m._buffers["temperature"]) for name, m in network.named_modules() if "temperature" in m._buffers]
    ends = [(name, float(getattr(m, "coldest", 1.0)), float(t)) for name, m, t in annealed if t is not None]
    late = [(name, end, value) for name, end, value in ends if value > end + 1e-6]
    if late:
        name, end, value = late[0]
        warnings.warn(
            f"training ended before the annealing: {name}.temperature is {value:.3g}, not {end:g}, and {len(late) - 1} more. "
            "Train for longer, or fine-tune after network.anneal(1.0).",
            stacklevel=4,
        )


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


def on_device(images: Images, device: torch.device) -> Images:
    """The images on the device where they take less than half of its free memory; else they stay and travel batch by batch."""
    if device.type != "cuda" or len(images) * math.prod(images.shape) > torch.cuda.mem_get_info(device)[0] // 2:
        return images
    return images.to(device)
