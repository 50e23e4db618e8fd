"""One optimizer step seen through ONNX: two states of the weights, one batch."""
