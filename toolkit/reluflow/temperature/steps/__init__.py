"""One optimiser step: how many patterns differ between two states of the weights."""
