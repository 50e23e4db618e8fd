"""Floor of the evaluation: how many bits activations get, and where they pass as integers."""
