"""Watching patterns during a training."""
