"""Writes a network as one plain PyTorch file, which needs torch and the weights and nothing of dcdnas.

The file is the network as `torch.export` traces it in eval mode, written as Python: one line per operation, below a comment with
the name of its layer. The parameters keep their names, so that the file loads the same ``model.safetensors``, which it parses
itself. Gradients flow as in eval mode, and BatchNorms keep their statistics.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from keyword import iskeyword
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from dcdnas.errors import MismatchError
from dcdnas.export.config import Model
from dcdnas.export.files import finished
from dcdnas.networks import Network

HEAD = '''"""{what}: plain PyTorch, written by dcdnas {version}. It needs torch and {weights} beside it.

    network = load()                              # in eval mode
    logits = network(images)                      # (N, {channels}, {height}, {width}) -> (N, {outputs})

Images are floats from 0 to 1 from which MEAN is subtracted and which are then divided by STD, channel by channel.
{deep}"""

import json
from pathlib import Path

import torch

aten = torch.ops.aten

INPUT = {input}
MEAN = {mean}
STD = {std}
LABELS = {labels}
{grey_range}
STATE = {{
{state}}}
"""Shape, dtype and whether it is learned, of every parameter and buffer by name."""

CONSTANTS = {{
{constants}}}
"""Shape, dtype, nonzero indices and their values, by name, of the buffers that the file of weights does not contain."""


class Network(torch.nn.Module):
    """The network in eval mode, one line per operation."""

    def __init__(self):
        super().__init__()
        for name, (shape, dtype, learned) in STATE.items():
            module, last = self.inside(name)
            tensor = torch.zeros(shape, dtype=dtype)
            if learned:
                module.register_parameter(last, torch.nn.Parameter(tensor))
            else:
                module.register_buffer(last, tensor)
        for name, (shape, dtype, where, values) in CONSTANTS.items():
            module, last = self.inside(name)
            tensor = torch.zeros(shape, dtype=dtype)
            tensor.view(-1)[torch.tensor(where, dtype=torch.long)] = torch.tensor(values, dtype=dtype)
            module.register_buffer(last, tensor, persistent=False)

    def inside(self, name):
        """Returns the module that holds a tensor, and the tensor's name in it."""
        *path, last = name.split(".")
        module = self
        for part in path:
            if part not in module._modules:
                module.add_module(part, torch.nn.Module())
            module = module._modules[part]
        return module, last

    def forward(self, x):
{body}

def load(path=Path(__file__).with_name("{weights}")):
    """Loads the network with the weights of a safetensors file, which is read without running any code in it."""
    dtypes = {{
        "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
        "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
    }}
    content = Path(path).read_bytes()
    size = int.from_bytes(content[:8], "little")
    state = {{}}
    for name, entry in json.loads(content[8 : 8 + size]).items():
        if name != "__metadata__":
            begin, end = (8 + size + offset for offset in entry["data_offsets"])
            flat = torch.frombuffer(bytearray(content[begin:end]), dtype=dtypes[entry["dtype"]])
            state[name] = flat.reshape(entry["shape"])
    network = Network()
    network.load_state_dict(state)
    return network.eval()
'''

DEEP = """Grey pictures of more than 8 bits are divided by GREY_RANGE first, and values above 1 are set to 1.
"""
"""Sentence of a file whose network was trained on such pictures."""

SIGNS: Mapping[Any, str] = {operator.add: "+", operator.sub: "-", operator.mul: "*", operator.floordiv: "//", operator.mod: "%"}
"""Operators of arithmetic on sizes."""


def write_standalone(
    program: ExportedProgram, network: Network, model: Model, path: Path, weights: Path, compare: Callable[..., float]
) -> float:
    """Writes the file, runs it and compares it with the network.

    Args:
        program: program of the network, not deployed, traced by `dcdnas.tracing.programs.traced`.
        network: network to compare with.
        model: model with the facts that the file states about itself.
        path: path of the file.
        weights: file of the weights beside it.
        compare: `dcdnas.export.programs.compared`.

    Returns:
        The largest relative difference from the network's outputs.

    Raises:
        MismatchError: when the file computes something else, or the network cannot be written in this form; then no file is left.
    """
    with finished(path) as part:
        part.write_text(source_of(program, network, model, weights.name), encoding="utf-8")
        names: dict[str, Any] = {"__file__": str(path), "__name__": "standalone"}
        exec(compile(part.read_text(encoding="utf-8"), str(path), "exec"), names)  # nosec B102: it was written above
        again = names["load"](weights)
        return compare(network, lambda x: again(x), model.architecture.input, path)


def source_of(program: ExportedProgram, network: Network, model: Model, weights: str) -> str:
    """Returns the text of the file."""
    a, learned = model.architecture, {name for name, _ in network.named_parameters()}
    state = "".join(
        f"    {name!r}: ({tuple(tensor.shape)}, {tensor.dtype}, {name in learned}),\n"
        for name, tensor in network.state_dict().items()
    )
    constants = "".join(
        f"    {name!r}: ({tuple(tensor.shape)}, {tensor.dtype}, {(where := tensor.flatten().nonzero().flatten()).tolist()}, "
        f"{tensor.flatten()[where].tolist()}),\n"
        for name, tensor in network.named_buffers()
        if name not in network.state_dict()
    )
    channels, height, width = a.input
    said = model.normalisation
    outputs = f"{a.classes}, {height}, {width}" if a.head else a.classes
    return HEAD.format(
        what=a.named, version=version("dcdnas"), weights=weights, channels=channels, height=height, width=width,
        outputs=outputs, input=a.input, mean=said.mean if said else None, std=said.std if said else None,
        labels=repr(model.labels), deep=DEEP if model.grey_range else "",
        grey_range=f"GREY_RANGE = {model.grey_range}\n" if model.grey_range else "", state=state, constants=constants,
        body="".join(f"        {line}\n" for line in _lines(program)),
    )  # fmt: skip


def _lines(program: ExportedProgram) -> Iterator[str]:
    """Yields the traced operations as Python statements."""
    signature = program.graph_signature
    places = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    names: dict[fx.Node, str] = {}
    layer = ""
    for node in program.graph.nodes:
        if node.op == "placeholder":
            names[node] = _attribute(places[node.name]) if node.name in places else "x"
        elif node.op == "output":
            yield f"return {_said(node.args[0][0], names)}"
        elif node.op == "call_function":
            if not node.users:  # assertions added by the tracing
                continue
            if _layer(node) != layer:
                layer = _layer(node)
                yield f"# {layer or 'the network itself'}"
            names[node] = node.name
            given = [_said(value, names) for value in node.args]
            given += [f"{name}={_said(value, names)}" for name, value in node.kwargs.items()]
            yield f"{node.name} = {_called(node.target, given)}"
        else:
            raise MismatchError(f"a standalone file has no form for {node.op} {node.target}. Export a .pt2 or ONNX instead.")


def _layer(node: fx.Node) -> str:
    """Path of the module that an operation belongs to."""
    stack: Mapping[str, tuple[str, Any]] = node.meta.get("nn_module_stack") or {}
    return next((path for path, _ in reversed([*stack.values()])), "")


def _attribute(name: str) -> str:
    """Expression for a parameter or buffer, also if parts of its name, such as the numbers of a list, are no identifiers."""
    if all(part.isidentifier() and not iskeyword(part) for part in name.split(".")):
        return f"self.{name}"
    module, _, last = name.rpartition(".")
    return f"getattr(self.get_submodule({module!r}), {last!r})"


def _called(target: Any, given: list[str]) -> str:
    if target is operator.getitem:
        return f"{given[0]}[{given[1]}]"
    if isinstance(target, torch._ops.OpOverload) and target.namespace == "aten":
        return f"aten.{target._schema.name.removeprefix('aten::')}.{target._overloadname}({', '.join(given)})"
    if target in SIGNS:
        return f" {SIGNS[target]} ".join(given)
    raise MismatchError(f"a standalone file has no form for the operation {target}. Export a .pt2 or ONNX instead.")


def _said(value: Any, names: Mapping[fx.Node, str]) -> str:
    """Writes an argument as a Python expression."""
    if isinstance(value, fx.Node):
        return names[value]
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_said(part, names) for part in value)}]"
    if isinstance(value, (torch.dtype, torch.layout, torch.memory_format)):
        return str(value)
    if isinstance(value, torch.device):
        return f"torch.device({str(value)!r})"
    if value is None or isinstance(value, (bool, int, str)):
        return repr(value)
    if isinstance(value, float):
        return f"float({str(value)!r})" if value != value or value in (float("inf"), -float("inf")) else repr(value)
    if isinstance(value, Tensor):
        return f"torch.tensor({value.tolist()}, dtype={value.dtype})"
    raise MismatchError(f"a standalone file has no form for {value!r:.60}. Export a .pt2 or ONNX instead.")
