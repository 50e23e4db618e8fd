"""State of a training run: rates, snapshots, and agreement between ranks."""
