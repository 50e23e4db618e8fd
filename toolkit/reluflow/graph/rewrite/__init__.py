"""Rewrites of a main graph in floating point, and what they share."""
