"""One optimiser step: probing it, and steering the learning rate by it."""
