"""Compiles the C files of this folder on first use and caches the library, keyed by sources, compiler and processor."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO

from dcdnas.core.cache import cached_file
from dcdnas.errors import UsageError

SWITCH = "DCDNAS_KERNELS"
"""Environment variable: ``off``, ``on``, or unset to use the kernels where a compiler is found."""

SOURCES = tuple(sorted(Path(__file__).parent.glob("*.c")))
FLAGS = ("-O3", "-std=c11", "-fPIC", "-shared", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast")
NATIVE = ("-march=native", "-mcpu=native")
"""Flags that optimise for this processor, tried in turn; compilers for some processors accept only the second."""

COMPILERS = ("cc", "gcc", "clang")
SECONDS = 60
"""Seconds after which the compiler counts as hung."""

_POINTER, _LONG, _FLOAT, _INT = ctypes.c_void_p, ctypes.c_long, ctypes.c_float, ctypes.c_int
SIGNATURES: dict[str, list[type]] = {
    "norm_forward": [_POINTER] * 8 + [_LONG, _LONG, _FLOAT, _FLOAT, _INT, _FLOAT, _FLOAT],
    "norm_backward": [_POINTER] * 9 + [_LONG, _LONG, _INT, _FLOAT, _FLOAT],
    "depthwise_forward": [_POINTER] * 4 + [_LONG] * 9,
    "depthwise_input_gradient": [_POINTER] * 5 + [_LONG] * 9,
    "depthwise_kernel_gradient": [_POINTER] * 4 + [_LONG] * 9,
    "pointwise_forward": [_POINTER] * 5 + [_LONG] * 4,
    "pointwise_input_gradient": [_POINTER] * 4 + [_LONG] * 4,
    "pointwise_kernel_gradient": [_POINTER] * 3 + [_LONG] * 4,
    "pool": [_POINTER] * 2 + [_LONG] * 3,
    "weigh": [_POINTER] * 4 + [_LONG] * 4,
    "weigh_gradient": [_POINTER] * 7 + [_LONG] * 4,
    "pixel_filter_forward": [_POINTER] * 6,
    "pixel_filter_backward": [_POINTER] * 9,
    "pixel_filter_room": [_POINTER],
    "dynamic_activation_forward": [_POINTER] * 4 + [_LONG] * 4,
    "dynamic_activation_backward": [_POINTER] * 6 + [_LONG] * 4,
    "lanes": [],
}
"""Argument types of the compiled functions."""

SIZES = ("lanes", "pixel_filter_room")
"""The functions that return a number; the others return nothing."""


def in_use() -> bool:
    """Whether ordinary float32 training on the CPU runs the compiled kernels.

    Raises:
        UsageError: when ``DCDNAS_KERNELS`` is ``on`` and they cannot be compiled, or when it has a value that is not allowed.
    """
    return library() is not None


def why_not() -> str:
    """Why the kernels are not in use; empty when they are.

    Raises:
        UsageError: as `in_use`.
    """
    return _found(_switch())[1]


def library() -> ctypes.CDLL | None:
    """The compiled functions; None where they are not in use.

    Raises:
        UsageError: as `in_use`.
    """
    return _found(_switch())[0]


@cache
def loaded() -> ctypes.CDLL:
    """The compiled functions, for callers that know that they are in use; the environment is not read again."""
    kernels = library()
    assert kernels is not None
    return kernels


@cache
def lanes_of_kernels() -> int:
    """Number of float32 lanes in a vector of the compiled code; only for callers that know that it is in use."""
    return int(loaded().lanes())


def _switch() -> str:
    return os.environ.get(SWITCH, "").strip().lower()


@cache
def _found(switch: str) -> tuple[ctypes.CDLL | None, str]:
    """The library, or None and the reason why it is not in use."""
    if switch not in ("", "on", "off"):
        raise UsageError(f"{SWITCH} cannot be {switch!r}. Allowed: on, off, or unset for on where there is a C compiler.")
    if switch == "off":
        return None, f"{SWITCH}=off"
    try:
        return _loaded(), ""
    except (OSError, subprocess.SubprocessError) as error:
        why = str(error) or type(error).__name__
    if switch == "on":
        raise UsageError(f"{SWITCH}=on, but the kernels cannot be compiled: {why}. Install a C compiler, or set {SWITCH}=off.")
    return None, why


def _loaded() -> ctypes.CDLL:
    compiler = _compiler()
    path = cached_file(f"kernels-{_digest(compiler)}.so", lambda file: _compile(compiler, file))
    try:
        found = ctypes.CDLL(str(path))
    except OSError:
        with suppress(OSError):
            path.unlink()  # the file is damaged, and the next process will compile it again
        raise
    for name, arguments in SIGNATURES.items():
        function = getattr(found, name)
        function.argtypes, function.restype = arguments, ctypes.c_long if name in SIZES else None
    return found


def _compiler() -> str:
    """Path of the C compiler: the one that ``CC`` names, else the first of `COMPILERS` that is installed."""
    named = os.environ.get("CC", "").split()
    for name in named[:1] or COMPILERS:
        path = shutil.which(name)
        if path:
            return path
    raise OSError(f"no C compiler ({', '.join(named[:1] or COMPILERS)}) is installed")


def _digest(compiler: str) -> str:
    """Digest of everything that the compiled code depends on."""
    version = _run([compiler, "--version"]).stdout
    parts = (*(path.read_bytes() for path in SOURCES), compiler.encode(), version, repr((FLAGS, NATIVE)).encode(), _processor())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _processor() -> bytes:
    """Identifies the processor by its name and its instruction sets, where the system reports them."""
    with suppress(OSError):
        told = Path("/proc/cpuinfo").read_bytes().partition(b"\n\n")[0].splitlines()
        return b"\n".join(line for line in told if line.startswith((b"model name", b"flags", b"CPU part", b"Features")))
    return f"{platform.machine()} {platform.processor()}".encode()


def _compile(compiler: str, file: IO[bytes]) -> None:
    with tempfile.TemporaryDirectory(prefix="dcdnas-kernels-") as folder:
        target = Path(folder) / "training.so"
        done = None
        for native in (*([flag] for flag in NATIVE), []):
            done = _run([compiler, *FLAGS, *native, *map(str, SOURCES), "-o", str(target), "-lm"])
            if done.returncode == 0:
                file.write(target.read_bytes())
                return
        assert done is not None
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it says nothing"]
        raise OSError(f"{compiler} cannot compile the kernels: {said[0]}")


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS)
