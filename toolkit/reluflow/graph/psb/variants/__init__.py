"""Variants of converted models: other draws, bits or inputs, one layer only, in float."""
