"""Traces networks and single layers to programs and ONNX graphs in memory; `dcdnas.export` writes them to files."""
