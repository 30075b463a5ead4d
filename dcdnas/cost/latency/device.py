"""The device that a latency was measured on, and how it was used."""

from __future__ import annotations

import platform
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from dcdnas.cost.latency.runtimes import runtimes
from dcdnas.errors import DcdnasError, UsageError


@dataclass(frozen=True)
class Device:
    """A device and how it is used; latencies are comparable only if all of these fields are equal.

    Args:
        name: kind and model, like ``cpu: AMD EPYC``.
        threads: that one network computes with.
        batch: number of images per forward pass; the latency is that of the whole batch.
        dtype: of weights and activations.
        software: that runs the network, with its version.
        runtime: that runs the network: ``torch``, ``onnxruntime`` for exported models, or a name given by the author of a table.
    """

    name: str
    threads: int = 1
    batch: int = 1
    dtype: str = "float32"
    software: str = ""
    runtime: str = "torch"

    @property
    def kind(self) -> str:
        """Prefix of the name: ``cpu`` or ``cuda``, or what the author of a table wrote there."""
        return self.name.partition(":")[0]

    @property
    def this_machines(self) -> bool:
        """Whether it is a device of this machine."""
        return self.kind in KINDS and self.dtype == "float32" and self.name == _name(self.kind)

    @property
    def here(self) -> bool:
        """Whether it can be measured now; the version of the software may differ."""
        try:
            self.check_here()
        except DcdnasError:
            return False
        return True

    def check_here(self) -> None:
        """Checks that the device can be measured now.

        Raises:
            UsageError: when it belongs to another machine, or its runtime is unknown.
            MissingPackageError: when its runtime is not installed.
        """
        if not self.this_machines:
            here = f"This machine is {_name('cpu')}"
            raise UsageError(f"{self.name} cannot be measured here. {here}; run `dcdnas latency measure SPACE -o FILE` there.")
        runtimes[self.runtime]().check(self.kind, self.batch)

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        software = self.software if self.runtime in self.software else f"{self.runtime} {self.software}".strip()
        return ", ".join((self.name, threads, f"batch {self.batch}", self.dtype, software))


KINDS = ("cpu", "cuda")


def this_device(kind: str = "cpu", threads: int = 1, batch: int = 1, runtime: str = "torch") -> Device:
    """Returns this machine's CPU or GPU.

    Args:
        kind: ``cpu`` or ``cuda``.
        threads: that one network computes with.
        batch: number of images per forward pass.
        runtime: that runs the network.

    Raises:
        UsageError: when there is no such device or runtime here, or a number is not above zero.
        MissingPackageError: when the runtime is not installed.
    """
    if kind not in KINDS:
        raise UsageError(f"--device {kind}: not a device that can be measured. Allowed: {', '.join(KINDS)}.")
    if kind == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch finds no GPU here. Measure the CPU, or run this where the GPU is.")
    if threads < 1 or batch < 1:
        raise UsageError(f"threads and batch must be at least 1, not {threads} and {batch}.")
    chosen = runtimes[runtime]()
    chosen.check(kind, batch)
    return Device(_name(kind), threads, batch, "float32", chosen.software, runtime)


@cache
def _name(kind: str) -> str:
    if kind == "cuda":
        return f"cuda: {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "cuda"
    return f"cpu: {processor()}"


def processor() -> str:
    """Returns the processor's model as the operating system names it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            word, _, value = line.partition(":")
            if word.strip() in ("model name", "Model") and value.strip():
                return " ".join(value.split())
    if sys.platform == "darwin":
        with suppress(OSError, subprocess.SubprocessError):
            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    return platform.processor() or platform.machine()
