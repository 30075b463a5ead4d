"""Published networks: exactly as many parameters as published, the costs of their cheapest forms, checkpoints that load."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from thoroughness import slow_but

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.cost import measure, price
from dcdnas.cost._dispatch_counter import by_dispatch
from dcdnas.cost._trace_counter import by_trace
from dcdnas.errors import FileError, UnknownNameError, UsageError
from dcdnas.networks import build_network, slots_of
from dcdnas.operators import Operator, counting, operators
from dcdnas.published import architecture, build, load, read_state, sources

CHECKPOINTS = Path(__file__).parent / "checkpoints"

PUBLISHED = [
    ("condconv/cond_mobilenetv2", {"width": 1.0, "E": 8}, 22_877_496),
    ("dcd/mobilenetv2_dcd", {"fc_squeeze": 16}, 5_720_028),
    ("dcd/mobilenetv2_dcd", {"fc_squeeze": 16, "width_mult": 0.5}, 2_664_300),
    ("dcd/resnet18_dcd", {}, 14_703_332),
    ("dcd/resnet50_dcd", {}, 29_835_056),
    ("ddf/ddf_resnet50", {}, 16_843_748),
    ("dyconv/dy_resnet18", {}, 45_475_008),
    ("kernel-warehouse/kw1d2x_mobilenetv2", {}, 2_654_396),
    ("kernel-warehouse/kw1d2x_mobilenetv2", {"width_mult": 0.5}, 1_466_888),
    ("kernel-warehouse/kw_mobilenetv2", {}, 5_168_146),
    ("kernel-warehouse/kw_mobilenetv2", {"cell_num_ratio": 4, "sharing_range": "layer"}, 11_379_382),
    ("kernel-warehouse/kw_mobilenetv2", {"width_mult": 0.5}, 2_854_522),
    ("kernel-warehouse/kw_mobilenetv2", {"width_mult": 0.5, "cell_num_ratio": 4, "sharing_range": "layer"}, 4_648_587),
    ("kernel-warehouse/kw_resnet18", {}, 11_932_148),
    ("kernel-warehouse/kw_resnet18", {"cell_num_ratio": 0.25, "cell_inplane_ratio": 0.5, "cell_outplane_ratio": 0.5}, 4_031_768),
    ("kernel-warehouse/kw_resnet18", {"cell_num_ratio": 0.5, "cell_inplane_ratio": 0.5, "cell_outplane_ratio": 0.5}, 7_431_044),
    ("kernel-warehouse/kw_resnet18", {"cell_num_ratio": 2}, 23_242_127),
    ("kernel-warehouse/kw_resnet18", {"cell_num_ratio": 4}, 45_862_085),
    ("kernel-warehouse/kw_resnet50", {}, 28_052_310),
    ("kernel-warehouse/kw_resnet50", {"cell_num_ratio": 4}, 102_015_144),
    (
        "kernel-warehouse/kw_resnet50",
        {"cell_num_ratio": 0.5, "cell_inplane_ratio": 0.5, "cell_outplane_ratio": 0.5, "nonlocal_basis_ratio": 0.0625},
        17_638_264,
    ),
    ("odconv/base_mobilenetv2", {}, 3_504_872),
    ("odconv/base_mobilenetv2", {"width": 0.5}, 1_968_680),
    ("odconv/base_resnet18", {}, 11_689_512),
    ("odconv/base_resnet50", {}, 25_557_032),
    ("odconv/od_mobilenetv2", {}, 4_940_185),
    ("odconv/od_mobilenetv2", {"n": 4}, 11_512_149),
    ("odconv/od_resnet18", {}, 11_943_944),
    ("odconv/od_resnet18", {"n": 4}, 44_901_640),
    ("odconv/od_resnet18", {"n": 4, "r": 0.25}, 45_538_536),
    ("torchvision/mobilenet_v3_large", {}, 5_483_032),
    ("torchvision/mobilenet_v3_small", {}, 2_542_856),
    ("torchvision/shufflenet_v2_x0_5", {}, 1_366_792),
    ("torchvision/shufflenet_v2_x1_0", {}, 2_278_604),
    ("torchvision/shufflenet_v2_x1_5", {}, 3_503_624),
    ("torchvision/shufflenet_v2_x2_0", {}, 7_393_996),
]
"""Parameters counted in the published code: liyunsheng13/dcd at 6a5e27f, OSVAI/ODConv at 0901cc1, theFoxofSky/ddfnet at
4e21b4a, kaijieshi7/Dynamic-convolution-Pytorch at 4befa50, d-li14/condconv.pytorch at 5b93eb4, OSVAI/KernelWarehouse at a4ac17d,
torchvision 0.28.0."""

STATES = {
    "dcd-mobilenetv2_dcd-w1.0-fcsq16": ("dcd/mobilenetv2_dcd", {"fc_squeeze": 16}),
    "dcd-resnet18_dcd": ("dcd/resnet18_dcd", {}),
    "dcd-resnet50_dcd": ("dcd/resnet50_dcd", {}),
    "kernel-warehouse-kw1d2x_mobilenetv2_050": ("kernel-warehouse/kw1d2x_mobilenetv2", {"width_mult": 0.5}),
    "kernel-warehouse-kw_resnet18-b1": ("kernel-warehouse/kw_resnet18", {}),
    "kernel-warehouse-kw_resnet50-b1d2": (
        "kernel-warehouse/kw_resnet50",
        {"cell_num_ratio": 0.5, "cell_inplane_ratio": 0.5, "cell_outplane_ratio": 0.5, "nonlocal_basis_ratio": 0.0625},
    ),
    "odconv-od_mobilenetv2_100-n1": ("odconv/od_mobilenetv2", {}),
    "odconv-od_mobilenetv2_100-n4": ("odconv/od_mobilenetv2", {"n": 4}),
    "odconv-od_resnet18-n4": ("odconv/od_resnet18", {"n": 4}),
    "torchvision-mobilenet_v3_large": ("torchvision/mobilenet_v3_large", {}),
    "torchvision-mobilenet_v3_small": ("torchvision/mobilenet_v3_small", {}),
    "torchvision-shufflenet_v2_x1_0": ("torchvision/shufflenet_v2_x1_0", {}),
}

QUICK = ("dcd/resnet18_dcd", "torchvision/shufflenet_v2_x0_5")
"""Presets that `make test` looks at where looking takes seconds each."""
DEAR = ("kw_", "kw1d2x_mobilenetv2", "resnet34", "resnet50", "resnet101", "dy_resnet18")
"""Parts of names of presets that are slow to build."""

PRESETS = [f"{folder}/{name}" for folder, source in sources.items() for name in source.presets]


def state_of(name):
    """A state with the names, shapes and types of a published checkpoint, and small random numbers."""
    generator, state = torch.Generator().manual_seed(0), {}
    for line in (CHECKPOINTS / f"{name}.tsv").read_text().splitlines():
        key, shape, kind = line.split("\t")
        size = [int(n) for n in shape.split(",") if n]
        positive = key.endswith("running_var")
        random = torch.rand(size, generator=generator) + 0.5 if positive else torch.randn(size, generator=generator) * 0.05
        state[key] = random if kind == "float32" else torch.zeros(size, dtype=torch.int64)
    return state


@pytest.mark.parametrize(
    ("name", "settings", "count"),
    [
        pytest.param(*preset, marks=[pytest.mark.slow] * (number % 3 > 0 or "resnet50" in preset[0]))
        for number, preset in enumerate(PUBLISHED)
    ],
)
def test_a_preset_has_exactly_the_published_parameters(name, settings, count):
    assert price(architecture(name, **settings), ("params",))["params"] == count


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * any(dear in name for dear in DEAR)) for name in PRESETS]
)
def test_every_preset_is_an_architecture_that_builds_again_from_its_config(name):
    made = architecture(name, num_classes=10, input_size=32)
    assert Architecture.from_dict(made.to_dict()) == made
    network = build_network(made).eval()
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dcd/resnet18_dcd", "dyconv/dy_resnet18", "ddf/ddf_resnet50", "odconv/od_resnet18"])
def test_a_presets_measured_cost_is_the_sum_of_its_layers_closed_forms(name):
    small = architecture(name, num_classes=10, input_size=64)
    assert measure(build_network(small))["flops"] == multiply_adds(small)


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in PRESETS])
def test_a_preset_costs_the_same_with_and_without_a_trace(name):
    small = architecture(name, num_classes=10, input_size=32)
    network = build_network(small).eval()
    with torch.no_grad(), counting():
        dispatched, traced = (count(network, torch.zeros(1, 3, 32, 32)) for count in (by_dispatch, by_trace))
    assert dispatched == traced
    assert traced[""] == price(small)["flops"]


LARGE = {
    "dcd-resnet18_dcd",
    "torchvision-mobilenet_v3_large",
    "kernel-warehouse-kw_resnet18-b1",
    "kernel-warehouse-kw_resnet50-b1d2",
    "torchvision-shufflenet_v2_x1_0",
    "odconv-od_resnet18-n4",
    "dcd-resnet50_dcd",
    "odconv-od_mobilenetv2_100-n4",
}
"""States that are slow to fill with numbers."""


@pytest.mark.parametrize("file", [pytest.param(file, marks=[pytest.mark.slow] * (file in LARGE)) for file in sorted(STATES)])
def test_a_published_checkpoint_loads_completely(file):
    name, settings = STATES[file]
    state = state_of(file)
    network = load(name, state, **settings)
    ours = sorted(v.double().sum().item() for v in network.state_dict().values() if v.is_floating_point() and v.dim())
    theirs = sorted(v.double().sum().item() for v in state.values() if v.is_floating_point() and v.dim())
    assert ours == pytest.approx(theirs)
    attentions = [m.attention for m in network.modules() if isinstance(m, Operator) and hasattr(m, "attention")]
    assert all(attention.temperature == getattr(attention, "coldest", 1) for attention in attentions)


def test_each_layer_of_a_checkpoint_lands_in_its_own_place():
    state = state_of("dcd-mobilenetv2_dcd-w1.0-fcsq16")
    network = load("dcd/mobilenetv2_dcd", state, fc_squeeze=16)
    found = network.state_dict()
    assert torch.equal(found["stage2.block1.expand.conv.residual.q"], state["features.2.conv.0.conv_q.weight"])
    assert torch.equal(found["stage2.block1.project.conv.controller.phi.weight"], state["features.2.conv.6.fc_phi.weight"])
    assert torch.equal(found["stage7.block1.depthwise.norm.running_var"], state["features.17.conv.4.running_var"])
    assert torch.equal(found["head.conv.weight"], state["conv.0.weight"])
    assert torch.equal(found["classifier.residual.norm_phi.bias"], state["classifier.1.bn2.bias"])
    state = state_of("odconv-od_mobilenetv2_100-n4")
    found = load("odconv/od_mobilenetv2", state, n=4).state_dict()
    assert torch.equal(found["stage1.block1.project.conv.weight"], state["features.1.conv.1.weight"].flatten(2))
    assert torch.equal(found["stage7.block1.project.norm.bias"], state["features.17.conv.3.bias"])
    assert torch.equal(found["head.conv.attention.filter.bias"], state["features.18.0.attention.filter_fc.bias"])


LOGITS = {
    "mobilenet_v3_large": (-102.5103081535571, 172.2806068791395, -57.84102321762601),
    "mobilenet_v3_small": (-0.7135806670059432, -0.3394747341498443, -0.9183722199907167),
    "shufflenet_v2_x1_0": (-132.38099631489956, -24.84944521213788, 129.34554735782697),
}
"""The first three outputs of torchvision 0.28.0 in float64, with the weights of `lively_state` and the image of the test."""


def lively_state(name):
    """A state of a published checkpoint whose random numbers keep a network's activations alive down to the logits."""
    generator, state = torch.Generator().manual_seed(0), state_of(name)
    for key, value in state.items():
        if value.is_floating_point():
            scales = value.dim() == 1 and key.endswith(("weight", "running_var"))
            spread = 0.2 if value.dim() == 1 else (2 / value[0].numel()) ** 0.5
            random = torch.rand(value.shape, generator=generator) + 0.5 if scales else None
            state[key] = torch.randn(value.shape, generator=generator) * spread if random is None else random
    return state


@pytest.mark.parametrize("name", sorted(LOGITS))
def test_a_loaded_static_network_computes_what_the_published_one_computes(name):
    network = load(f"torchvision/{name}", lively_state(f"torchvision-{name}")).double()
    image = torch.linspace(-2, 2, 3 * 64 * 64, dtype=torch.double).sin().reshape(1, 3, 64, 64)
    with torch.no_grad():
        assert network(image)[0, :3].tolist() == pytest.approx(LOGITS[name], rel=1e-9)


@pytest.mark.parametrize(
    "name", slow_but(["condconv/cond_mobilenetv2"], ["dyconv/dy_resnet18", "ddf/ddf_resnet50", "condconv/cond_mobilenetv2"])
)
def test_a_state_with_the_published_names_fills_the_whole_network(name):
    preset = sources[name.split("/")[0]].presets[name.split("/")[1]]
    small = {"num_classes": 10, "input_size": 32} | ({"width": 0.25} if "mobilenet" in name else {})
    network = build(name, **small)
    inside = {ours: theirs for theirs, ours in preset.layer.names.items()}
    places = sorted(((ours, theirs) for theirs, ours in preset.places(network.architecture).items()), key=lambda p: -len(p[0]))
    state = {}
    for key, value in network.state_dict().items():
        if key.endswith("temperature"):
            continue
        ours, theirs = next((o, t) for o, t in places if key.startswith(f"{o}."))
        rest = key.removeprefix(f"{ours}.")
        dynamic = isinstance(network.get_submodule(ours), operators[name.split("/")[0]])
        part = max((p for p in inside if dynamic and (rest == p or rest.startswith(f"{p}."))), key=len, default="")
        state[f"{theirs}.{inside[part] + rest[len(part) :] if part else rest}"] = value
    loaded = load(name, state, **small)
    for key, value in network.state_dict().items():
        assert key.endswith("temperature") or torch.equal(loaded.state_dict()[key], value), key
    assert any("spatial_branch" in key or "attention.fc1" in key or "classifier_route" in key for key in state)


def test_a_condconv_block_has_one_router_under_its_published_name():
    made = architecture("condconv/cond_mobilenetv2", num_classes=10, input_size=32)
    routers = {
        theirs: ours for theirs, ours in sources["condconv"].presets["cond_mobilenetv2"].places(made).items() if "route" in theirs
    }
    assert routers["features.12.route"] == "stage5.block2.expand.conv.router"
    names = {name for name, _ in build_network(made).named_modules() if name.endswith(".router")}
    assert names == {
        "classifier.router",
        *(f"{b}.expand.conv.router" for b in {s.block for s in slots_of(made)} if made.layers.get(f"{b}.project")),
    }
    assert len(names) == 7


@pytest.mark.slow
def test_a_wrapped_and_prefixed_checkpoint_loads_the_same():
    state = state_of("odconv-od_resnet18-n4")
    wrapped = {"epoch": 100, "state_dict": {f"module.{k}": v for k, v in state.items()}}
    x = torch.randn(1, 3, 64, 64)
    assert torch.equal(load("odconv/od_resnet18", wrapped, n=4)(x), load("odconv/od_resnet18", state, n=4)(x))


def test_a_checkpoint_of_other_settings_is_refused_with_all_that_does_not_fit():
    with pytest.raises(FileError) as caught:
        load("odconv/od_mobilenetv2", state_of("odconv-od_mobilenetv2_100-n4"), n=1)
    problems = str(caught.value).splitlines()
    assert problems[0].startswith("the state dict does not fit odconv/od_mobilenetv2(width=1.0, n=1, r=0.0625,")
    assert "features.1.conv.1.attention.kernel_fc.bias (4,) has no place" in str(caught.value)
    assert sum("has no place" in p for p in problems) == 2 * 51
    assert sum("does not fit" in p for p in problems[1:]) == 51


def test_an_unknown_preset_or_setting_is_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'dcd/mobilenetv2_dcd'"):
        build("dcd/mobilnetv2_dcd")
    with pytest.raises(UsageError, match=r"dcd/resnet18_dcd: .*'width'\. Its settings: num_classes=1000, input_size=224"):
        build("dcd/resnet18_dcd", width=2)
    with pytest.raises(UsageError, match=r"odconv/od_resnet18\(r=0\): r cannot be 0\. Allowed: a number above 0, up to 1"):
        build("odconv/od_resnet18", r=0)
    with pytest.raises(UsageError, match=r"odconv/od_resnet18\(n=99\): .*1 to 16"):
        build("odconv/od_resnet18", n=99)


def multiply_adds(made):
    """Of all slots in their counted forms, in closed form."""
    choices = [(slot.geometry, made.layers.get(slot.name, LayerChoice())) for slot in slots_of(made)]
    return sum(operators[c.operator].multiply_adds(geometry, c.settings, c.form) for geometry, c in choices)


def test_a_published_networks_cheapest_forms_cost_what_the_papers_say():
    """DCD's 326.0M is quoted in papers that compare with it; ODConv's README rows count scaled activations, ours fewer."""
    assert multiply_adds(architecture("dcd/mobilenetv2_dcd", fc_squeeze=16)) == pytest.approx(326.0e6, rel=0.002)
    for n, theirs in ((1, 311.8e6), (4, 327.1e6)):
        ours = multiply_adds(architecture("odconv/od_mobilenetv2", n=n))
        assert 0.95 * theirs < ours < theirs


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_checkpoint_file_is_read(tmp_path, suffix):
    from safetensors.torch import save_file

    state = {"a.weight": torch.ones(2, 3)}
    path = tmp_path / f"x{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save({"state_dict": state}, path)
    content = read_state(path)
    assert torch.equal(content.get("state_dict", content)["a.weight"], state["a.weight"])


class Harmless:
    """Something a checkpoint must not hold."""


def test_a_file_that_could_run_code_is_refused_and_one_that_is_damaged_too(tmp_path):
    torch.save({"model": Harmless()}, tmp_path / "code.pth")
    with pytest.raises(FileError, match="could run code"):
        read_state(tmp_path / "code.pth")
    (tmp_path / "cut.pth").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(FileError, match=r"cut.pth: not a checkpoint, or damaged"):
        read_state(tmp_path / "cut.pth")
    (tmp_path / "cut.safetensors").write_bytes(b"no")
    with pytest.raises(FileError, match="not a checkpoint, or damaged"):
        read_state(tmp_path / "cut.safetensors")
    with pytest.raises(FileError, match="cannot be read"):
        read_state(tmp_path / "missing.pth")
    torch.save(torch.ones(2), tmp_path / "tensor.pth")
    with pytest.raises(FileError, match="holds a Tensor"):
        read_state(tmp_path / "tensor.pth")
