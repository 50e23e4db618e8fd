"""Conversion to shift-adds, and what converted models are asked and told."""
