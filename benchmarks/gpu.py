"""Checks on a GPU, in at most ten minutes, whether all forms of the operators are correct there, and measures their speed.

    python benchmarks/gpu.py [--parts forms trial shared rule] [--minutes 9] [-o FILE.json] [--device cpu]

forms    compares every form of every operator, in inference and in training, with the same form on the CPU, both in float64: the
         largest error of outputs and gradients, relative to the largest value.
trial    times an epoch of our proxy training against a plain loop for the same network, images and steps, in turns.
shared   images per second of 1, 2 and 4 concurrent trainings on one GPU, as `--gpus-per-trial 0.5` and `0.25` share it.
rule     how much slower the forms that the rule selects are than the fastest forms (`dcdnas tune-forms`), for published networks.

Each part has its share of the minutes, stops when they are over, and prints the results so far. The output gives medians,
quartiles, n and the machine. `--device cpu` runs the same steps without a GPU to test the script; its numbers say nothing about
a GPU.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import clock
import torch
import torch.nn.functional as F
from kernels import network_of
from torch import Tensor, multiprocessing

from dcdnas.core.geometry import ConvGeometry
from dcdnas.core.task import TrainingTask
from dcdnas.data import Split, load, split
from dcdnas.errors import DcdnasError
from dcdnas.networks import Network, build_network
from dcdnas.operators import Operator, operators
from dcdnas.published import architecture
from dcdnas.testing.places import forms, image, make, supported
from dcdnas.training.form_tuning import fitted_balance, tune_forms
from dcdnas.training.loop import Training, seeded
from dcdnas.training.optimizer import usual

TASK = TrainingTask(data="fashion-mini", epochs=1, augment="none", norm_batches=0)
"""Without augmentation and re-estimation of statistics, so that the plain loop can do the same in a few lines."""

NETWORKS = ("static", "dcd", "odconv")
PUBLISHED = ("dcd/mobilenetv2_dcd", "odconv/od_mobilenetv2")
TOGETHER = (1, 2, 4)

Found = dict[str, Any]


class Deadline:
    """The time at which a part must end.

    Args:
        seconds: from now.
    """

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Remaining seconds; negative after the deadline."""
        return self._at - time.monotonic()


def forms_part(device: torch.device, until: Deadline) -> Iterator[tuple[str, Found]]:
    """Yields the largest relative errors of each operator over its places, settings and forms."""
    for name, cls in operators.items():
        errors: dict[str, list[float]] = {"deployed": [], "output": [], "gradient": []}
        for geometry in supported(cls):
            if until.left < 0:
                break
            for settings, form in forms(cls, geometry):
                operator = make(cls, geometry, **settings)
                operator.form = form
                errors["deployed"].append(deployed_error(operator, image(geometry), device))
            for form in cls.training_forms(geometry, cls.resolve(geometry)):
                operator = make(cls, geometry).train()
                operator.training_form = form
                output, gradient = training_errors(operator, geometry, device)
                errors["output"].append(output)
                errors["gradient"].append(gradient)
        if errors["deployed"]:
            yield name, {what: max(found) for what, found in errors.items() if found} | {"n": sum(map(len, errors.values()))}


def deployed_error(operator: Operator, x: Tensor, device: torch.device) -> float:
    """Relative error of one form's output in inference mode."""
    with torch.inference_mode():
        return difference(copy.deepcopy(operator).to(device)(x.to(device)), operator(x))


def training_errors(operator: Operator, geometry: ConvGeometry, device: torch.device) -> tuple[float, float]:
    """Relative errors of the output and of the gradients in training mode."""
    results = []
    for place in (torch.device("cpu"), device):
        moved, x = copy.deepcopy(operator).to(place), image(geometry).to(place).requires_grad_()
        out = moved(x)
        out.square().sum().backward()
        results.append((out, [t.grad for t in (x, *moved.parameters()) if t.grad is not None]))
    (expected, right), (found, gradients) = results
    largest = max(difference(a, b) for a, b in zip(gradients, right, strict=True))
    return difference(found, expected), largest


def difference(found: Tensor, expected: Tensor) -> float:
    """Largest difference, relative to the largest expected value; infinite if a value is not finite."""
    found, expected = found.detach().cpu(), expected.detach()
    if not found.isfinite().all():
        return math.inf
    return float((found - expected).abs().max() / expected.abs().max().clamp_min(1e-12))


def trial_part(device: torch.device, until: Deadline) -> Iterator[tuple[str, Found]]:
    """Yields for each network the ratio of our seconds per epoch to those of the plain loop."""
    data, share = images(), until.left / len(NETWORKS)
    for name in NETWORKS:
        ours, theirs = fresh(name), fresh(name)
        until = Deadline(share)
        calls: dict[str, Callable[[], None]] = {
            "ours": lambda ours=ours: our_epoch(ours, data, device),  # type: ignore[misc]
            "by hand": lambda theirs=theirs: epoch_by_hand(theirs, data, device),  # type: ignore[misc]
        }
        times = {way: list[float]() for way in calls}
        for turn in range(10):
            if turn > 3 and until.left < 0:
                break
            for way, call in calls.items():
                spent = wall(call, device)
                if turn:  # the first round includes one-time work of the process
                    times[way].append(spent)
        ratios = [a / b for a, b in zip(times["ours"], times["by hand"], strict=True)]
        yield name, {"ours / by hand": spread(ratios), "images/s": round(len(data.train) / statistics.median(times["ours"]))}


def images() -> Split:
    """The images that all trainings of this script use."""
    return split(load(TASK.data))


def fresh(operator: str) -> Network:
    """A newly initialised network with an operator everywhere."""
    with seeded(0):
        return build_network(network_of(operator))


def our_epoch(network: Network, data: Split, device: torch.device) -> None:
    """Runs the steps of an epoch, without the evaluation after it."""
    with seeded(0, device) as generator:
        for _ in Training(network, data, TASK, generator, device).steps():
            pass


def epoch_by_hand(network: Network, data: Split, device: torch.device) -> None:
    """Runs the same epoch with a plain loop, as one would write it for this network alone."""
    part = data.train
    pixels, labels = part.pixels[part.rows].to(device), part.labels[part.rows].to(device)
    mean, std = (torch.tensor(of, device=device).view(1, -1, 1, 1) for of in (part.mean, part.std))
    network = network.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(
        network.parameters(), TASK.lr, momentum=0.9, weight_decay=TASK.weight_decay, nesterov=True, fused=True
    )
    steps = len(pixels) // TASK.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, TASK.lr, total_steps=steps)
    scaler, mixed = torch.amp.GradScaler(device.type, enabled=usual(device) == torch.float16), usual(device) != torch.float32
    total = torch.zeros((), device=device)
    for chosen in torch.randperm(len(pixels), device=device)[: steps * TASK.batch_size].split(TASK.batch_size):
        x = ((pixels[chosen].float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, usual(device) if mixed else None, enabled=mixed):
            loss = F.cross_entropy(network(x), labels[chosen], label_smoothing=TASK.label_smoothing)
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.step(optimizer)
        scaler.update()
        schedule.step()
        total += loss.detach()
    assert math.isfinite(total.item())


def wall(call: Callable[[], None], device: torch.device) -> float:
    """Wall seconds until a call and its work on the device are complete."""
    started = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def shared_part(device: torch.device, until: Deadline) -> Iterator[tuple[str, Found]]:
    """Yields the images per second of several concurrent trainings, each in its own process."""
    share, alone = until.left / len(NETWORKS) / len(TOGETHER), 0.0
    context = multiprocessing.get_context("spawn")
    for name in NETWORKS:
        for count in TOGETHER:
            with context.Pool(count) as pool:
                rates = pool.starmap(rate, [(name, device, share / 2)] * count)
            alone = rates[0] if count == 1 else alone
            yield (
                f"{name}, {count} at one time",
                {
                    "images/s": round(sum(rates)),
                    "of one alone": round(sum(rates) / alone, 2),
                    "n": 1,
                },
            )


def rate(operator: str, device: torch.device, seconds: float) -> float:
    """Images per second of one training after its first epoch; processes that start together measure at the same time."""
    torch.set_num_threads(1)
    data, network = images(), fresh(operator)
    our_epoch(network, data, device)
    seen, started, until = 0, time.perf_counter(), Deadline(seconds)
    while not seen or until.left > 0:
        seen += wall_images(network, data, device)
    return seen / (time.perf_counter() - started)


def wall_images(network: Network, data: Split, device: torch.device) -> int:
    """Trains for a complete epoch; returns its number of images."""
    wall(lambda: our_epoch(network, data, device), device)
    return len(data.train) // TASK.batch_size * TASK.batch_size


def rule_part(device: torch.device, until: Deadline) -> Iterator[tuple[str, Found]]:
    """Yields the loss of speed by the rule of executed forms on networks at 224 pixels, and the constant that minimises it."""
    for name in PUBLISHED:
        for batch in (1, 16):
            if until.left < 0:
                return
            network = build_network(architecture(name)).to(device).deploy()
            rows = tune_forms(network, batch, fresh=True)
            balance, least, present = fitted_balance(rows)
            yield (
                f"{name}, batch {batch}",
                {
                    "rule / fastest": round(present, 3),
                    "best constant": balance,
                    "with it": round(least, 3),
                    "present constant": Operator.BALANCE,
                    "n": len(rows),
                },
            )


def spread(values: list[float]) -> str:
    """Median, quartiles and n."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.2f} ({low:.2f}-{high:.2f}), n={len(values)}"


PARTS: dict[str, tuple[Callable[[torch.device, Deadline], Iterator[tuple[str, Found]]], float]] = {
    "forms": (forms_part, 0.4),
    "trial": (trial_part, 0.2),
    "shared": (shared_part, 0.2),
    "rule": (rule_part, 0.2),
}
"""Name of each part -> its function and its share of the minutes."""


def machine(device: torch.device) -> str:
    """Describes the machine and its versions."""
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{platform.machine()} (no GPU)"
    product, copied = clock.machine_rates(device)
    rates = f"{product / 1e9:.1f} T multiply-adds/s in float32, {copied / 1e6:.0f} GB/s"
    return f"{name}, {rates}, torch {torch.__version__}, CUDA {torch.version.cuda}, Python {platform.python_version()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--minutes", type=float, default=9.0, help="minutes for all parts together")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("-o", "--output", type=Path)
    asked = parser.parse_args()
    if asked.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no GPU on this machine. Use --device cpu to run the same steps without one.")
    device = torch.device(asked.device)
    found: dict[str, Any] = {"machine": machine(device)}
    print(found["machine"], flush=True)
    for part in asked.parts:
        run, share = PARTS[part]
        print(f"\n{part}", flush=True)
        found[part] = {}
        try:
            for name, row in run(device, Deadline(60 * asked.minutes * share)):
                found[part][name] = row
                print(f"  {name:40} {', '.join(f'{what} {shown(value)}' for what, value in row.items())}", flush=True)
        except (DcdnasError, RuntimeError) as error:  # the other parts still run
            found[part]["failed"] = f"{type(error).__name__}: {error}"
            print(f"  failed: {found[part]['failed']}", flush=True)
        if asked.output:
            asked.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def shown(value: object) -> str:
    """A number with three digits, or any other value as text."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
