"""Exact tables of patterns and their counts."""
