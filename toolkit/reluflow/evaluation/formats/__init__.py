"""Floor of the evaluation room: the formats of activations, by their error on data."""
