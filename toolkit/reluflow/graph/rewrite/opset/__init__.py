"""Raising the opset: how an old operator is written in a newer version."""
