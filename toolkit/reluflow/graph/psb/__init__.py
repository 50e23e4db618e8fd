"""Conversion to shift-adds, and reading and changing converted models."""
