"""Networks, and single layers, as traced programs and ONNX graphs in memory; `dcdnas.export` writes them to files."""
