"""Evaluates generated heads on tasks that need them: segment one given object among several, in images and in point sets.

    python benchmarks/generated_heads.py --seeds 5      prints the table of docs/using.md

Each image has three or four discs and squares of random brightness, and each point set has three or four crossing line segments.
New images and sets are drawn for every step. One small network computes features for all objects. A head then segments the object
whose centre is given. The head is either generated from the features at the centre, or static with equally many multiply-adds; a
static head gets either no information about the object or the same distances from its centre. The measure is the mean
intersection over union on images and sets that were not used for training.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dcdnas.heads import generated, parameters_of, relative_to

SIDE, POINTS, OBJECTS = 24, 192, (3, 4)
HEADS = ("generated", "static, told where", "static")


def images(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draws (I, 1, H, W) images; returns them with (N, H, W) masks of objects, (N,) their images and (N, 2) their centres."""
    pictures, masks, owners, centres = torch.zeros(count, 1, SIDE, SIDE), [], [], []
    rows, columns = torch.arange(SIDE)[:, None], torch.arange(SIDE)
    for number in range(count):
        shown = torch.full((SIDE, SIDE), -1)
        places = []
        for which in range(int(torch.randint(OBJECTS[0], OBJECTS[1] + 1, (), generator=generator))):
            row, column = (torch.randint(4, SIDE - 4, (2,), generator=generator)).tolist()
            radius, round_ = int(torch.randint(3, 6, (), generator=generator)), torch.rand((), generator=generator) < 0.5
            away = (rows - row).abs(), (columns - column).abs()
            inside = away[0] ** 2 + away[1] ** 2 <= radius**2 if round_ else torch.maximum(*away) < radius
            shown[inside] = which
            pictures[number, 0][inside] = 0.2 + 0.8 * torch.rand((), generator=generator)
            places.append((row, column))
        for which, (row, column) in enumerate(places):
            if shown[row, column] == which:  # an object whose centre is covered by another one cannot be pointed at
                masks.append((shown == which).float())
                owners.append(number)
                centres.append([float(row), float(column)])
    return pictures, torch.stack(masks), torch.tensor(owners), torch.tensor(centres)


def points(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draws (I, 3, P) point sets; returns them with (N, P) masks of segments, (N,) their sets and (N, 3) their midpoints."""
    sets, masks, owners, centres = [], [], [], []
    for number in range(count):
        objects = int(torch.randint(OBJECTS[0], OBJECTS[1] + 1, (), generator=generator))
        of = torch.arange(POINTS) % objects
        middle = 0.6 * torch.randn(objects, 3, generator=generator)
        along = F.normalize(torch.randn(objects, 3, generator=generator), dim=1)
        where = 2 * torch.rand(POINTS, 1, generator=generator) - 1
        sets.append((middle[of] + where * along[of] + 0.03 * torch.randn(POINTS, 3, generator=generator)).T)
        masks += [(of == which).float() for which in range(objects)]
        owners += [number] * objects
        centres += list(middle)
    return torch.stack(sets), torch.stack(masks), torch.tensor(owners), torch.stack(centres)


class Pointer(nn.Module):
    """Computes features of images or point sets, and applies a head to segment the object at a given centre.

    Args:
        flat: whether the inputs are images.
        head: one of `HEADS`.
    """

    def __init__(self, flat: bool, head: str) -> None:
        super().__init__()
        self.flat, self.head, self.axes = flat, head, 2 if flat else 3
        self.channels, self.widths = (8, (8, 8, 1)) if flat else (16, (16, 1))
        convolutions = [nn.Conv2d(1 + 2, 24, 3, padding=1), nn.Conv2d(24, 24, 3, padding=1)]
        self.first = nn.ModuleList(convolutions if flat else [nn.Conv1d(3, 32, 1), nn.Conv1d(64, 32, 1)])
        self.features = nn.Conv2d(24, self.channels, 3, padding=1) if flat else nn.Conv1d(64, self.channels, 1)
        made = parameters_of(self.channels, self.widths, self.axes)
        self.controller = nn.Linear(24 if flat else 64 + 3, made)
        self.own = nn.Parameter(torch.randn(1, made) * 0.2)

    def forward(self, x: Tensor, owners: Tensor, centres: Tensor) -> Tensor:
        """Inputs (I, ...), owners (N,) and centres (N, axes) -> scores (N, H, W) or (N, P)."""
        deep, there = self._deep(x, owners, centres)
        told = self.head != "static"
        if self.flat:
            coordinates = relative_to(centres if told else torch.full_like(centres, SIDE / 2), SIDE, SIDE, SIDE / 2)
        else:
            coordinates = x[owners] - (centres[:, :, None] if told else 0)
        made = self.controller(there) if self.head == "generated" else self.own.expand(len(owners), -1)
        return generated(self.features(deep)[owners], made, self.widths, coordinates).squeeze(1)

    def _deep(self, x: Tensor, owners: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
        """Features of every pixel or point, and the features from which the head of each object is generated."""
        if self.flat:
            grid = torch.linspace(-1, 1, SIDE)
            place = torch.stack([grid[:, None].expand(SIDE, SIDE), grid.expand(SIDE, SIDE)]).expand(len(x), -1, -1, -1)
            deep = torch.cat([x, place], 1)
            for layer in self.first:
                deep = torch.relu(layer(deep))
            rows, columns = centres.long().unbind(1)
            return deep, deep[owners, :, rows, columns]
        deep = x
        for layer in self.first:
            deep = torch.relu(layer(deep))
            deep = torch.cat([deep, deep.amax(2, keepdim=True).expand_as(deep)], 1)
        near = (x[owners] - centres[:, :, None]).square().sum(1).topk(24, largest=False).indices
        around = torch.gather(x[owners] - centres[:, :, None], 2, near[:, None].expand(-1, 3, -1))
        spread = around @ around.transpose(1, 2)
        least = torch.gather(deep[owners], 2, near[:, None, :1].expand(-1, 64, -1))[..., 0]
        return deep, torch.cat([least, spread[:, [0, 0, 1], [1, 2, 2]]], 1)


def overlap(scores: Tensor, masks: Tensor) -> float:
    """The mean intersection over union of the objects, in per cent."""
    found, wanted = scores.flatten(1) > 0, masks.flatten(1) > 0.5
    return float(100 * ((found & wanted).sum(1) / (found | wanted).sum(1).clamp(min=1)).mean())


def trained(flat: bool, head: str, seed: int, steps: int) -> float:
    """Trains a head; returns its mean intersection over union in per cent.

    Args:
        flat: whether the task is that of images.
        head: one of `HEADS`.
        seed: of the weights and of the drawn inputs.
        steps: training steps on 16 images or sets each.
    """
    torch.manual_seed(seed)
    draw: Callable[[int, torch.Generator], tuple[Tensor, Tensor, Tensor, Tensor]] = images if flat else points
    drawings, network = torch.Generator().manual_seed(seed), Pointer(flat, head)
    optimizer = torch.optim.Adam(network.parameters(), 4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 8e-3, steps)
    for _ in range(steps):
        x, masks, owners, centres = draw(16, drawings)
        scores = network(x, owners, centres)
        chance = torch.sigmoid(scores).flatten(1)
        wanted = masks.flatten(1)
        dice = 1 - (2 * (chance * wanted).sum(1) + 1) / (chance.square().sum(1) + wanted.sum(1) + 1)
        loss = F.binary_cross_entropy_with_logits(scores, masks) + dice.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    x, masks, owners, centres = draw(128, torch.Generator().manual_seed(10_000 + seed))
    with torch.no_grad():
        return overlap(network(x, owners, centres), masks)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=250)
    given = parser.parse_args()
    print("| task | head | IoU | seeds |\n| --- | --- | ---: | ---: |")
    for flat in (True, False):
        for head in HEADS:
            found = [trained(flat, head, seed, given.steps) for seed in range(given.seeds)]
            spread = statistics.stdev(found) if len(found) > 1 else 0.0
            print(
                f"| {'images' if flat else 'point sets'} | {head} | {statistics.mean(found):.1f} ± {spread:.1f} | {len(found)} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
