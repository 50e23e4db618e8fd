"""Layers with weights as numbers: read, given back, and run in parts."""
