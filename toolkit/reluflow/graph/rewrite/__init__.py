"""Rewrites of a main graph in floating point, and the code they share."""
