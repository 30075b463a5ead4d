"""Reads published checkpoint files without running code in them, and extracts the tensors from the structures that wrap them."""

from __future__ import annotations

import re
import warnings
import zipfile
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from dcdnas.core.files import check_ends, utf8_path
from dcdnas.errors import FileError

WRAPPERS = (
    "state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "weights", "params",
    "state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema",
)  # fmt: skip
"""Keys under which trainings save a state dict; the first one present is used, so plain weights precede averaged ones."""

SHELLS = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""Components that DataParallel, torch.compile and FSDP insert into names wherever they wrap a module."""

COUNTERS = frozenset({"total_ops", "total_params", "n_averaged"})
"""Last components of the names of buffers that counting tools (thop) and weight averaging leave behind; they are not weights."""

_SCALAR = np.float64(0).__reduce__()[0]
_PLAIN: list[Any] = [
    Namespace, np.dtype, *{type(np.dtype(c)) for c in "?bBhHiIlLqQefd"},
    (_SCALAR, "numpy.core.multiarray.scalar"), (_SCALAR, "numpy._core.multiarray.scalar"),
]  # fmt: skip
"""Types that trainings save next to a state dict (arguments, best accuracy), beyond those that PyTorch allows by default; none
of them runs code."""

_BEGINNINGS = (
    (
        re.compile(rb"\s*<(!|\?|[a-zA-Z])"),
        "a web page, not a checkpoint: the download failed. Look at its address, and get the file again.",
    ),
    (
        re.compile(rb"version https://git-lfs"),
        "a Git LFS pointer, not the checkpoint itself. Run `git lfs pull` where it is, or get the file again.",
    ),
    (re.compile(rb"\s*[{\[]"), "JSON, not a checkpoint. Get the file again."),
    (
        re.compile(rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!"),
        "a packed archive, not a checkpoint. Unpack it, or get the file again.",
    ),
    (re.compile(rb"\x89HDF"), "an HDF5 file, not a checkpoint of PyTorch. Get the file again."),
)
"""First bytes of files that are not checkpoints, and what the message says about each."""

LONGEST_HEADER = 100_000_000
"""Largest length of a safetensors header, in bytes, that its library reads."""


def read_state(path: str | Path) -> Mapping[str, Any]:
    """Reads the content of a ``.pth`` or ``.safetensors`` file.

    Raises:
        FileError: if the file cannot be read, is not a checkpoint, holds more than tensors and plain values, or no mapping.
    """
    try:
        check_ends(path)
        with Path(path).open("rb") as file:
            begin = file.read(512)
        safe = _begins_as_safetensors(begin)
        if not safe:  # any bytes can be the length at the beginning of a safetensors file
            _check_beginning(path, begin)
        content = _tensors_of(path) if safe or Path(path).suffix == ".safetensors" else _unpickled(path)
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or error}.") from None
    except Exception as error:
        if _is_program(path):
            raise FileError(
                f"{path}: a TorchScript program, not a checkpoint. Where you trust it, save its weights: "
                "torch.save(torch.jit.load(FILE).state_dict(), 'state.pth')."
            ) from None
        if code := _code_in(path):
            raise FileError(
                f"{path}: holds more than tensors and plain values ({', '.join(code[:3])}), which could run code. Allowed: a "
                "state dict. Where the checkpoint was made, save one: torch.save(checkpoint['state_dict'], 'state.pth')."
            ) from None
        kind = type(error).__name__
        reason = kind if kind == "UnpicklingError" else f"{kind}: {error}"  # its text says how to run the file
        raise FileError(f"{path}: not a checkpoint, or damaged ({reason}). Allowed: .pth, .safetensors.") from None
    if not isinstance(content, Mapping):
        raise FileError(f"{path}: holds a {type(content).__name__}, not a state dict.")
    return content


def unwrapped(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Returns the tensors of a checkpoint by their published names.

    Removes the mappings in which trainings wrap them, at any depth (`WRAPPERS`), the components that wrapped modules add to
    names (`SHELLS`), and buffers that are not weights (`COUNTERS`).

    Raises:
        FileError: if the checkpoint holds no tensors, one without a name of its own, or two with the same name.
    """
    try:
        state = _innermost(state)
    except RecursionError:
        raise FileError("the checkpoint contains itself, or is nested too deeply. Give a state dict.") from None
    named = [
        (tuple(part for part in str(name).split(".") if part not in SHELLS), value)
        for name, value in state.items()
        if isinstance(value, Tensor) and str(name).rpartition(".")[2] not in COUNTERS
    ]
    if nameless := [name for name in state if isinstance(state[name], Tensor) and set(str(name).split(".")) <= SHELLS]:
        raise FileError(f"the checkpoint holds a tensor named only {nameless[0]!r}. Give a state dict, which names every tensor.")
    while len({parts[:1] for parts, _ in named}) == 1 and named[0][0][0] in WRAPPERS and all(len(p) > 1 for p, _ in named):
        named = [(parts[1:], value) for parts, value in named]
    found: dict[str, Tensor] = {}
    for parts, value in named:
        name = ".".join(parts)
        if name in found:
            raise FileError(f"the checkpoint holds {name} twice, once with the prefix of a wrapped module. Save one state dict.")
        found[name] = value.detach()
    if not found:
        keys = ", ".join(map(str, list(state)[:8])) or "nothing"
        raise FileError(
            f"the checkpoint holds no named tensors, only: {keys}. Give a state dict, or a checkpoint that holds one."
        )
    return found


def _innermost(state: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """The mapping that holds the tensors: below the first known key that leads to tensors, else below the only key that does."""
    mappings = {key: value for key, value in state.items() if isinstance(value, Mapping)}
    inside = {key: value for key, value in mappings.items() if next(_tensors(value), None) is not None}
    known = [key for key in WRAPPERS if key in inside]
    if known:
        return _innermost(inside[known[0]])
    inside.pop("optimizer", None)
    if len(inside) == 1 and not any(isinstance(value, Tensor) for value in state.values()):
        return _innermost(next(iter(inside.values())))
    return state


def _tensors(state: Mapping[Any, Any]) -> Iterator[Tensor]:
    for key, value in state.items():
        if isinstance(value, Tensor) and isinstance(key, str):
            yield value
        elif isinstance(value, Mapping):
            yield from _tensors(value)


def _check_beginning(path: str | Path, begin: bytes) -> None:
    """Raises FileError if a file is empty or its first bytes show that it is not a checkpoint, and names what it is."""
    if not begin.strip(b"\0 \t\r\n"):
        raise FileError(f"{path}: is empty or holds nothing but zeros. Get it again.")
    for pattern, what in _BEGINNINGS:
        if pattern.match(begin):
            raise FileError(f"{path}: is {what} Allowed: .pth, .safetensors.")


def _begins_as_safetensors(begin: bytes) -> bool:
    """Whether the first bytes are those of the safetensors format: the length of the header in eight bytes, then its JSON."""
    return begin[8:9] == b"{" and int.from_bytes(begin[:8], "little") <= LONGEST_HEADER


def _is_program(path: str | Path) -> bool:
    """Whether a file is an archive that `torch.jit.save` wrote."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except Exception:  # a damaged archive is no program
        return False


def _code_in(path: str | Path) -> list[str]:
    """Names of a checkpoint's classes and functions other than tensors and plain values; empty if it is not a checkpoint."""
    with torch.serialization.safe_globals(_PLAIN):
        try:
            return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
        except Exception:  # a file that cannot be analysed has nothing to name
            return []


def _tensors_of(path: str | Path) -> dict[str, Tensor]:
    with utf8_path(path) as readable:
        return load_file(readable)


def _unpickled(path: str | Path) -> Any:
    with warnings.catch_warnings(), torch.serialization.safe_globals(_PLAIN):
        warnings.filterwarnings("ignore", message="Detected pickle protocol|.*TorchScript archive")
        return torch.load(path, map_location="cpu", weights_only=True)
