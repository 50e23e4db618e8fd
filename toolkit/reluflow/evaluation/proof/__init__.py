"""Comparing a rewritten model with the one it was made from."""
