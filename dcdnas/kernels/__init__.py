"""Compiled kernels for a training step on the CPU, each equivalent to a form in torch's operations.

torch spends most of a small network's training step on memory traffic: BatchNorm and ReLU6 take four passes over a map, and a
layer with one kernel per sample is a convolution with as many groups as there are samples. The C functions of this folder
take fewer passes. They are compiled on first use with the machine's C compiler and kept in the cache (`dcdnas.kernels._library`).
Without a compiler, on other devices, and outside of ordinary float32 training, torch's form runs (`dcdnas.kernels._when`).
``DCDNAS_KERNELS=off`` disables the compiled kernels; with ``on``, a failure to compile them is an error.
"""

from __future__ import annotations

from dcdnas.kernels._convolving import Place
from dcdnas.kernels._library import SWITCH, in_use, why_not
from dcdnas.kernels._twice import gradients_of
from dcdnas.kernels._when import without_gradients
from dcdnas.kernels.decomposed import Decomposed, decomposed, decomposed_fits
from dcdnas.kernels.depthwise import depthwise, depthwise_fits
from dcdnas.kernels.dynamic_activation import dynamic_activation, dynamic_activation_fits
from dcdnas.kernels.gated import Gated, gated, gated_fits
from dcdnas.kernels.norm import UNCLAMPED, norm_clamp, norm_fits
from dcdnas.kernels.pixel_filter import Filtering, pixel_filter, pixel_filter_fits
from dcdnas.kernels.pointwise import pointwise, pointwise_fits
from dcdnas.kernels.shared import Convolution, shared_convolution, shared_fits

__all__ = [
    "SWITCH",
    "UNCLAMPED",
    "Convolution",
    "Decomposed",
    "Filtering",
    "Gated",
    "Place",
    "decomposed",
    "decomposed_fits",
    "depthwise",
    "depthwise_fits",
    "dynamic_activation",
    "dynamic_activation_fits",
    "gated",
    "gated_fits",
    "gradients_of",
    "in_use",
    "norm_clamp",
    "norm_fits",
    "pixel_filter",
    "pixel_filter_fits",
    "pointwise",
    "pointwise_fits",
    "shared_convolution",
    "shared_fits",
    "why_not",
    "without_gradients",
]
