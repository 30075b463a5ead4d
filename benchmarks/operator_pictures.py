"""Pictures of the operators' data flow, as SVG: the text below says what there is and where, the rest draws it.

A line with a position is a box: its name, kind, column and row, label, and after a bar a smaller second line; `_` and `^` lower
and raise what follows. The other lines are arrows: `>` goes straight, `hv` sideways and then up or down, `vh` the other way
round, `z` leaves and arrives upright, `s` sideways. The first line says the same in words, for those who cannot see.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape

PICTURES: Mapping[str, str] = {
    "dcd": """
        The sum of a static convolution scaled by Λ and a residual through Q, Φ and P; a controller makes Λ and Φ.
        x     map         0,1.5  x
        pool  controller  1,1.5  GAP
        fc    controller  2,1.5  FC | activation
        fphi  controller  3.2,1  FC
        flam  controller  3.2,2  FC | hard sigmoid
        phi   made        4.4,1  Φ | L × L
        lam   made        4.4,2  Λ | one a channel
        q     stored      3.2,0  Q^T | C to L
        mphi  applied     4.4,0  × Φ
        p     stored      5.4,0  P | L to D
        w     stored      3.2,3  W_0 | convolution
        mlam  applied     4.4,3  × Λ
        sum   applied     6.2,1.5  +
        y     map         7,1.5  y
        x > pool > fc
        fc s fphi > phi > mphi
        fc s flam > lam > mlam
        x vh q > mphi > p hv sum
        x vh w > mlam hv sum
        sum > y
    """,
    "odconv": """
        One controller makes four attentions: for the input channels, the kernels and their taps, and the output channels.
        x     map         0,3    x
        pool  controller  1,0    GAP
        fc    controller  2,0    FC, norm, ReLU
        heads controller  4,0    4 × FC | sigmoids, softmax
        ac    made        2,1    α_c | input channels
        aw    made        4,1    α_w, α_s | kernels, taps
        af    made        6,1    α_f | output channels
        w     stored      3,2    W_1 … W_n
        mix   made        4,2    Σ α_w α_s W
        mc    applied     2,3    × α_c
        conv  applied     4,3    convolution
        mf    applied     6,3    × α_f
        y     map         7,3    y
        x vh pool > fc > heads
        heads z ac > mc
        heads > aw > mix > conv
        heads z af > mf
        w > mix
        x > mc > conv > mf > y
    """,
    "dyconv": """
        A controller weighs K stored kernels; their average is the one kernel that convolves the input.
        x     map         0,2    x
        pool  controller  1,0    GAP
        fc    controller  2,0    FC, ReLU
        fc2   controller  3,0    FC | softmax(· / T)
        pi    made        4,0    π | K, sum 1
        w     stored      3,1    W_1 … W_K
        mix   made        4,1    Σ π_k W_k
        conv  applied     4,2    convolution
        y     map         5,2    y
        x vh pool > fc > fc2 > pi > mix > conv
        w > mix
        x > conv > y
    """,
    "condconv": """
        A router, the layer's own or its block's, weighs E stored experts; their sum is the kernel that convolves the input.
        x     map         0,2    x
        pool  controller  1,0    GAP
        fc    controller  2.1,0  FC, sigmoid | own, or the block's
        r     made        3.4,0  r | E, each 0 to 1
        w     stored      2.1,1  W_1 … W_E
        mix   made        3.4,1  Σ r_e W_e
        conv  applied     3.4,2  convolution
        y     map         4.6,2  y
        x vh pool > fc > r > mix > conv
        w > mix
        x > conv > y
    """,
    "ddf": """
        One branch makes a filter for each channel, another for each pixel; joined they filter every channel by itself.
        x     map         0,2    x
        pool  controller  1,0    GAP
        fc    controller  2.1,0  FC, ReLU, FC
        nch   controller  3.5,0  FilterNorm, × s
        dch   made        4.8,0  D^{ch} | k² a channel
        conv1 controller  2.1,1  1 × 1 convolution
        nsp   controller  3.5,1  FilterNorm
        dsp   made        4.8,1  D^{sp} | k² a pixel
        join  made        6.1,1  D^{ch} ∘ D^{sp}
        filt  applied     6.1,2  filter | each channel
        y     map         7.1,2  y
        x vh pool > fc > nch > dch hv join
        x vh conv1 > nsp > dsp > join > filt
        x > filt > y
    """,
    "drconv": """
        A mask says which region a pixel is in; a controller mixes a kernel for each region; a pixel takes its region's.
        x     map         0,3    x
        g     controller  2,0    G, argmax | own, or the block's
        m     made        5,0    M | a region a pixel
        pool  controller  1,1    GAP
        fc    controller  2,1    FC, sigmoid
        c     made        3.5,1  c | m × K
        v     stored      2,2    V_1 … V_K
        mix   made        3.5,2  Σ c_{tj} V_j | a kernel a region
        pick  made        5,2    W_{M(p)} | a kernel a pixel
        conv  applied     5,3    convolution
        y     map         6.2,3  y
        x vh g > m > pick
        x vh pool > fc > c > mix > pick > conv
        v > mix
        x > conv > y
    """,
    "weightnet": """
        A controller gives each output channel M numbers, which scale the stored parts of that channel's kernel.
        x     map         0,2    x
        pool  controller  1,0    GAP
        fc    controller  2.1,0  FC | own, or the block's
        fc2   controller  3.4,0  FC, sigmoid
        a     made        4.8,0  α | M an output channel
        v     stored      3.4,1  V | M/G kernels
        mix   made        4.8,1  Σ α_i V_i | part by part
        conv  applied     4.8,2  convolution
        y     map         6,2    y
        x vh pool > fc > fc2 > a > mix > conv
        v > mix
        x > conv > y
    """,
    "sk": """
        Two convolutions, one of twice the dilation; from their sum a controller makes each output channel's share of either.
        x     map         0,1    x
        w1    stored      1,0    W_1 | convolution
        w2    stored      1,2    W_2 | twice the dilation
        sum   applied     2,1    +
        pool  controller  2.8,1  GAP
        fc    controller  3.9,1  FC, BN, ReLU
        fc2   controller  5.2,1  FC, sigmoid
        a     made        6.3,1  a
        m1    applied     6.3,0  × a
        m2    applied     6.3,2  × (1 − a)
        out   applied     7.2,1  +
        y     map         7.8,1  y
        x vh w1 > m1 hv out
        x vh w2 > m2 hv out
        w1 hv sum > pool > fc > fc2 > a > m1
        w2 hv sum
        a > m2
        out > y
    """,
}
"""Operator -> picture."""

KINDS = {"controller": "controller", "made": "made for each input", "stored": "stored parameters", "applied": "applied"}
CELL, ROW, HALF, MARGIN = 112, 64, 20, 34
STYLE = """
.ground { fill: #ffffff } text { fill: #1f2328; font: 14px system-ui, sans-serif; text-anchor: middle }
.small { font-size: 10.5px } .shift { font-size: 10px } .legend { font-size: 11.5px; text-anchor: start }
path { fill: none; stroke: #57606a; stroke-width: 1.4 }
.head { fill: #57606a; stroke: none } .blue { stroke: #0072b2; stroke-width: 2 } .bluehead { fill: #0072b2; stroke: none }
.controller { fill: #fff1d6; stroke: #b86e00 } .made { fill: #dcecfb; stroke: #0072b2; stroke-width: 2 }
.stored { fill: #e9ecef; stroke: #6e7781 } .applied { fill: #ffffff; stroke: #1f2328 }
@media (prefers-color-scheme: dark) {
.ground { fill: #0d1117 } text { fill: #e6edf3 } path { stroke: #9aa4af } .head { fill: #9aa4af } .blue { stroke: #56b4e9 }
.bluehead { fill: #56b4e9 } .controller { fill: #3a2a0a; stroke: #e69f00 } .made { fill: #0b2a43; stroke: #56b4e9 }
.stored { fill: #2b3138; stroke: #9aa4af } .applied { fill: #0d1117; stroke: #e6edf3 }
}
"""


@dataclass(frozen=True)
class Box:
    """Something with a place in a picture; x, y and the halves of its sides in pixels."""

    kind: str
    label: str
    small: str
    x: float
    y: float

    @property
    def half(self) -> float:
        """Half its width, so that its text fits."""
        if self.kind == "map":
            return 14
        wide = max(8.2 * len(plain(self.label)), 5.9 * len(plain(self.small))) + 18
        return max(wide / 2 + (6 if self.kind == "made" else 0), HALF)


def plain(text: str) -> str:
    """A label without the marks that raise and lower."""
    return re.sub(r"[_^{}]", "", text)


def described(name: str) -> str:
    """A picture in words."""
    return PICTURES[name].strip().splitlines()[0].strip()


def drawn(name: str) -> str:
    """The SVG."""
    boxes: dict[str, Box] = {}
    arrows: list[tuple[str, str, str]] = []
    for line in PICTURES[name].strip().splitlines()[1:]:
        words = line.split()
        if re.fullmatch(r"[\d.]+,[\d.]+", words[2]):
            column, row = map(float, words[2].split(","))
            label, _, small = " ".join(words[3:]).partition(" | ")
            boxes[words[0]] = Box(words[1], label, small, MARGIN + column * CELL, MARGIN + row * ROW)
        else:
            arrows += zip(words[0:-2:2], words[1:-1:2], words[2::2], strict=True)
    width = max(b.x + b.half for b in boxes.values()) + MARGIN - 14
    bottom = max(b.y for b in boxes.values()) + HALF + 40
    lines = [arrow(boxes[a], how, boxes[b]) for a, how, b in arrows]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {bottom:.0f}" width="{width:.0f}" role="img">',
            f"<title>{name}</title><desc>{escape(described(name))}</desc><style>{STYLE}</style>",
            f'<rect class="ground" width="{width:.0f}" height="{bottom:.0f}" rx="8"/>',
            *sorted(lines, key=lambda line: "blue" in line),
            *(box(b) for b in boxes.values()),
            *legend({b.kind for b in boxes.values()}, bottom - 18),
            "</svg>\n",
        ]
    )


def box(b: Box) -> str:
    """A box with its text; input and output are text only."""
    corner = {"made": HALF, "controller": 6}.get(b.kind, 0)
    label = words(b.label, "", b.x, b.y + (-1 if b.small else 5)) + (words(b.small, "small", b.x, b.y + 13) if b.small else "")
    return label if b.kind == "map" else rectangle(b.kind, b.x - b.half, b.y - HALF, 2 * b.half, 2 * HALF, corner) + label


def rectangle(kind: str, x: float, y: float, width: float, height: float, corner: float) -> str:
    """The shape of a kind."""
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{corner}"/>'


def words(text: str, kind: str, x: float, y: float) -> str:
    """A line of text."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{shifted(text)}</text>'


def shifted(text: str) -> str:
    """Text with what follows `_` lowered and what follows `^` raised."""
    parts = re.split(r"([_^](?:\{[^}]*\}|.))", text)
    found, below = "", 0
    for part in filter(None, parts):
        size = {"_": 4, "^": -6}.get(part[0], 0)
        mark = ' class="shift"' if size else ""
        found += f'<tspan{mark} dy="{size - below}">{escape(plain(part) if size else part)}</tspan>'
        below = size
    return found


def arrow(a: Box, how: str, b: Box) -> str:
    """The line between two boxes and its head."""
    right, down = (1 if b.x > a.x else -1), (1 if b.y > a.y else -1)
    upright = how in ("vh", "z") or (how == ">" and abs(a.x - b.x) < 1)
    start = (a.x, a.y + down * (14 if a.kind == "map" else HALF)) if upright else (a.x + right * a.half, a.y)
    ends_upright = how in ("hv", "z") or (how == ">" and abs(a.x - b.x) < 1)
    end = (b.x, b.y - down * HALF) if ends_upright else (b.x - right * b.half, b.y)
    middle = (start[1] + end[1]) / 2
    aside = start[0] + 14 * right
    turns = {"hv": [(b.x, a.y)], "vh": [(a.x, b.y)], "z": [(a.x, middle), (b.x, middle)], "s": [(aside, a.y), (aside, b.y)]}.get(
        how, []
    )
    along = (0, down) if ends_upright else (right, 0)
    neck = (end[0] - 5 * along[0], end[1] - 5 * along[1])
    path = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in [start, *turns, neck])
    blue = "blue" if a.kind == "made" else ""
    return f'<path class="{blue}" d="{path}"/><path class="{blue}head" d="{head(end, along)}"/>'


def head(tip: tuple[float, float], along: tuple[int, int]) -> str:
    """The triangle at an arrow's end."""
    (x, y), (dx, dy) = tip, along
    back = (x - 9 * dx, y - 9 * dy)
    left, right = (back[0] + 4 * dy, back[1] + 4 * dx), (back[0] - 4 * dy, back[1] - 4 * dx)
    return "M" + " L".join(f"{a:.1f} {b:.1f}" for a, b in (tip, left, right)) + " Z"


def legend(kinds: set[str], y: float) -> Iterator[str]:
    """What the shapes mean."""
    x = float(MARGIN - 14)
    for kind, text in KINDS.items():
        if kind in kinds:
            yield rectangle(kind, x, y - 6, 20, 12, {"made": 6, "controller": 3}.get(kind, 0))
            yield words(text, "legend", x + 26, y + 4)
            x += 46 + 6 * len(text)
