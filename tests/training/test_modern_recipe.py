"""What a modern recipe adds to a training: AdamW, averaged weights, parts of batches, patience, a start, a teacher."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from small_training import SETTINGS, TASK, network, small_data
from torch import Tensor, nn

from dcdnas.core.architecture import Architecture
from dcdnas.core.task import TrainingTask
from dcdnas.core.trial import EpochResult
from dcdnas.data import Split
from dcdnas.errors import FileError, RunError
from dcdnas.networks import build_network
from dcdnas.training.checkpoint import write_weights
from dcdnas.training.distillation import Teacher, divergence
from dcdnas.training.full import Watcher, train_seeds
from dcdnas.training.loop import Training, evaluate, seeded, train
from dcdnas.training.optimizer import optimizer_of
from dcdnas.training.recipe import read_recipe
from dcdnas.training.starting import Start, weights_for
from dcdnas.training.statistics import norms_of

SHORT = replace(TASK, epochs=2, batch_size=50, augment="none", norm_batches=2)


@pytest.fixture(scope="module")
def data() -> Split:
    return small_data()


def under_way(data: Split, task: TrainingTask, teacher: Teacher | None = None, norm: bool = True) -> Training:
    """A training of the small network before its first step; with BatchNorm in eval mode where `norm` is False."""
    net = network()
    if not norm:
        net.train = lambda mode=True: nn.Module.train(net, False)  # type: ignore[method-assign]
    return Training(net, data, task, torch.Generator().manual_seed(0), teacher=teacher)


# AdamW


def test_adamw_decays_kernels_alone() -> None:
    optimizer = optimizer_of(network(), TrainingTask(optimizer="adamw", lr=1e-3, weight_decay=0.05))
    assert isinstance(optimizer, torch.optim.AdamW)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.05, 0.0, 0.0]


def test_the_modern_recipe_trains(data: Split) -> None:
    """As it ships, but for the epochs and the size of a batch."""
    recipe = {**read_recipe("modern"), "epochs": 2, "batch_size": 50}
    with seeded(0):
        score = train(network(), data, TrainingTask(**recipe))
    assert score.epochs == 2
    assert score.values["loss"] < 3


# Averaged weights


def test_the_average_is_the_papers_sum_and_the_network_is_judged_with_it(data: Split) -> None:
    training = under_way(data, replace(SHORT, ema=0.95))
    start = {name: p.detach().clone() for name, p in training.network.named_parameters()}
    trace: list[dict[str, Tensor]] = []
    for _ in training.steps():
        trace.append({name: p.detach().clone() for name, p in training.network.named_parameters()})
    last = trace[-1]
    result = training.read()
    for name, parameter in training.network.named_parameters():
        expected = start[name]
        for step, after in enumerate(trace):
            decay = min(0.95, (1 + step) / (10 + step))
            expected = decay * expected + (1 - decay) * after[name]
        torch.testing.assert_close(parameter.detach(), expected)
    assert evaluate(training.network, data.validation) == result.values
    next(training.steps())
    assert training.own is None
    assert not any(torch.equal(p, last[n]) for n, p in training.network.named_parameters() if n.endswith("conv.weight"))


def test_training_itself_does_not_see_the_average(data: Split) -> None:
    """The losses of its steps are those without an average."""
    losses = []
    for ema in (0.0, 0.9):
        training = under_way(data, replace(SHORT, ema=ema))
        with seeded(0):
            for _ in range(2):
                for _ in training.steps():
                    pass
                losses.append(training.loss.item())
                training.read()
    assert losses[:2] == losses[2:]


def test_without_fresh_statistics_those_of_the_norms_are_averaged(data: Split) -> None:
    training = under_way(data, replace(SHORT, ema=0.9, norm_batches=0))
    for _ in training.steps():
        pass
    own = [norm.running_mean.clone() for norm in norms_of(training.network)]  # type: ignore[union-attr]
    training.read()
    assert not any(torch.equal(a, b.running_mean) for a, b in zip(own, norms_of(training.network), strict=True))  # type: ignore[arg-type]


# Parts of a batch, number formats


def test_gradients_of_parts_are_those_of_the_whole_batch(data: Split) -> None:
    """With BatchNorm in eval mode, so that no image sees the others; 50 images in 3 parts of other sizes."""
    found = []
    for parts in (1, 3):
        training = under_way(data, replace(SHORT, accumulate=parts, mixup=0.4, cutmix=1.0), norm=False)
        next(training.steps())
        found.append([p.grad.clone() for p in training.network.parameters() if p.grad is not None])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_bfloat16_computes_in_it_and_steps_in_float32(data: Split) -> None:
    training, seen = under_way(data, replace(SHORT, precision="bfloat16")), []
    training.network.register_forward_hook(lambda _, inputs, out: seen.append(out.dtype))
    next(training.steps())
    assert seen == [torch.bfloat16]
    assert {p.dtype for p in training.network.parameters()} == {torch.float32}
    plain = under_way(data, SHORT)
    next(plain.steps())
    assert training.loss.item() == pytest.approx(plain.loss.item(), rel=0.02)
    assert training.loss.item() != plain.loss.item()


# Patience


@pytest.mark.parametrize(
    ("accuracies", "patience", "done"),
    [
        ([0.5, 0.4], 2, False),
        ([0.5, 0.4, 0.5], 2, True),
        ([0.5, 0.4, 0.6, 0.5], 2, False),
        ([0.5, 0.4, 0.3, 0.2], 0, False),
        ([0.1] * 9, 0, True),
        ([], 1, False),
    ],
)
def test_a_training_ends_when_it_has_not_improved_for_as_long_as_it_waits(
    data: Split, accuracies: Sequence[float], patience: int, done: bool
) -> None:
    training = under_way(data, replace(SHORT, epochs=9, patience=patience))
    training.curve = [EpochResult(i, {"accuracy": a, "loss": 1.0}, 1.0) for i, a in enumerate(accuracies, 1)]
    assert training.done == done


def test_an_impatient_training_ends_early_and_resumes_to_nothing(data: Split, tmp_path: Path) -> None:
    task = replace(SHORT, epochs=8, lr=1e-9, warmup=0, patience=2)
    architecture = network().architecture
    ended = train_seeds(architecture, data, task, [0], tmp_path, Watcher())[0]
    assert ended.score.epochs < 8
    again = train_seeds(architecture, data, task, [0], tmp_path, Watcher(), resume=True)[0]
    assert again.score.curve == ended.score.curve


# Weights to begin with


def weights_file(tmp_path: Path, classes: int = 10) -> Path:
    path = tmp_path / "weights.safetensors"
    made = build_network(Architecture("mobilenetv2", SETTINGS, {}, (1, 28, 28), classes))
    save_file({name: tensor.contiguous() for name, tensor in made.state_dict().items()}, path)
    return path


def test_a_training_begins_with_the_weights_that_are_given(data: Split, tmp_path: Path) -> None:
    path = weights_file(tmp_path)
    weights, fresh = weights_for(network(), path)
    assert fresh == ()
    task = replace(SHORT, epochs=1, lr=1e-12, warmup=0)
    trained = train_seeds(network().architecture, data, task, [0], tmp_path / "out", Watcher(), start=Start(weights))[0]
    given = load_file(path)
    for name, parameter in trained.network.named_parameters():
        torch.testing.assert_close(parameter.detach(), given[name])


def test_the_classifier_of_other_classes_begins_anew(tmp_path: Path) -> None:
    net = network()
    before = net.classifier.conv.weight.detach().clone() if hasattr(net.classifier, "conv") else net.classifier.weight.clone()
    weights, fresh = weights_for(net, weights_file(tmp_path, classes=4))
    Start(weights).put(net)
    assert fresh
    assert all(name.startswith("classifier.") for name in fresh)
    after = net.classifier.conv.weight if hasattr(net.classifier, "conv") else net.classifier.weight
    assert torch.equal(before, after)
    assert torch.equal(net.stem.conv.weight, weights["stem.conv.weight"])


def test_weights_of_another_network_are_refused_with_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"stem.conv.weight": torch.zeros(3), "odd": torch.zeros(1)}, path)
    with pytest.raises(FileError, match=r"weights of another network: .* is missing.*and \d+ more\. Give weights of this"):
        weights_for(network(), path)
    with pytest.raises(FileError, match="no such file"):
        weights_for(network(), tmp_path / "none.safetensors")


@pytest.mark.parametrize("names", [tuple("0123456789")[::-1], tuple("abcdefghij")])
def test_the_classifier_of_other_names_or_another_order_of_them_begins_anew(tmp_path: Path, names: tuple[str, ...]) -> None:
    path, net = tmp_path / "weights.safetensors", network()
    write_weights(net, path, {"label_names": json.dumps([*"0123456789"])})
    assert weights_for(net, path, tuple("0123456789"))[1] == ()
    assert weights_for(net, path)[1] == ()
    known, fresh = weights_for(net, path, names)
    assert fresh
    assert all(name.startswith("classifier.") for name in fresh)
    assert {*known} | {*fresh} == {*net.state_dict()}


def test_the_classifier_of_pixels_begins_anew_for_other_classes(tmp_path: Path) -> None:
    few, more = (build_network(Architecture("mobilenetv2", SETTINGS, {}, (1, 16, 16), n, "decoder")) for n in (3, 4))
    write_weights(few, tmp_path / "w.safetensors")
    assert set(weights_for(more, tmp_path / "w.safetensors")[1]) == {"decoder.classifier.weight", "decoder.classifier.bias"}


def test_a_training_is_not_resumed_with_other_weights_at_its_start(data: Split, tmp_path: Path) -> None:
    weights, _ = weights_for(network(), weights_file(tmp_path))
    task, architecture = replace(SHORT, epochs=1), network().architecture
    train_seeds(architecture, data, task, [0], tmp_path / "out", Watcher(), start=Start(weights))
    train_seeds(architecture, data, task, [0], tmp_path / "out", Watcher(), resume=True, start=Start(weights))
    with pytest.raises(RunError, match=r"weights at the start was [0-9a-f]{16} and is None"):
        train_seeds(architecture, data, task, [0], tmp_path / "out", Watcher(), resume=True)


# A teacher


def test_the_divergence_is_kullback_leiblers_at_a_temperature() -> None:
    ours, theirs = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0))
    p, q = (theirs / 3).softmax(1), (ours / 3).softmax(1)
    torch.testing.assert_close(divergence(ours, theirs, 3.0), 9 * (p * (p / q).log()).sum(1).mean())
    assert divergence(ours, ours, 2.0).item() == pytest.approx(0, abs=1e-6)


def test_a_student_learns_the_labels_and_what_the_teacher_says_by_their_shares(data: Split) -> None:
    task = replace(SHORT, distillation=0.3, distillation_temperature=2.0)
    of = network(7)
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    training = under_way(data, task, Teacher(of, data.train.mean, data.train.std))
    training.network.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    training.network.register_forward_hook(lambda _, given, out: outputs.append(out.detach()))
    labels: list[Tensor] = []
    real = training._gradients
    training._gradients = lambda x, y: (labels.append(y), real(x, y))[1]  # type: ignore[method-assign]
    next(training.steps())
    plain = F.cross_entropy(outputs[0], labels[0], label_smoothing=task.label_smoothing)
    expected = 0.7 * plain + 0.3 * divergence(outputs[0], of.eval()(inputs[0]).detach(), 2.0)
    torch.testing.assert_close(training.loss, expected)
    assert all(p.grad is None for p in of.parameters())


def test_a_teacher_sees_images_in_its_own_normalisation(data: Split) -> None:
    seen: list[Tensor] = []
    of = network(7)
    of.register_forward_pre_hook(lambda _, given: seen.append(given[0].clone()))
    teacher = Teacher(of, (0.5,), (0.25,)).to(torch.device("cpu"), data.train)
    pixels = torch.rand(4, 1, 28, 28)
    x = (pixels - data.train.mean[0]) / data.train.std[0]
    teacher.blended(torch.zeros(()), torch.zeros(4, 10), x, SHORT)
    torch.testing.assert_close(seen[0], (pixels - 0.5) / 0.25)
