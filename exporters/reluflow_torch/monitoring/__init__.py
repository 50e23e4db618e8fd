"""Watching patterns during training."""
