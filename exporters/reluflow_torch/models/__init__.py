"""ONNX models as torch modules."""
