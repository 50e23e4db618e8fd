"""Comparing a rewritten model with the original."""
