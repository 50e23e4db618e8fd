"""Raising the opset: how an old operator is said in a newer version."""
