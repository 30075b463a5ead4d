"""Names of the files that an export may write."""

from dcdnas.core import weights_metadata

CONFIGS = "config.yaml", "config.json"
"""File names of the config in a trained or exported folder; the first that exists is read."""

WEIGHTS = weights_metadata.WEIGHTS
"""File name of the weights beside a config."""

ONNX, ONNX_OF_ONE, INT8 = "model.onnx", "model-batch1.onnx", "model-int8.onnx"
"""File names of the ONNX models for any batch size, for one image at a time, and in eight bits."""

PT2, EXECUTORCH = "model.pt2", "model.pte"
"""File names of the programs of `torch.export` and ExecuTorch."""

STANDALONE = "network.py"
"""File name of the plain PyTorch."""

CARD, PICTURE = "README.md", "architecture.svg"
"""File names of the model card and its picture."""

MARK = "<!-- written by dcdnas export: a later export writes it anew -->"
"""A line in every card, which distinguishes it from a README that the user wrote."""

BY = "plain PyTorch, written by dcdnas"
"""Words in the first line of `STANDALONE`, which distinguish it from a program that the user wrote."""

ALL = (*CONFIGS, WEIGHTS, ONNX, ONNX_OF_ONE, INT8, PT2, EXECUTORCH, STANDALONE, CARD, PICTURE)
"""All of them."""
