"""How unsure a network is of each pixel: heads that pool, dense outputs, tensors by name."""
