"""Converted models in ONNX's own operators alone, without functions: draws included."""
