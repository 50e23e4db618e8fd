"""Choosing the stored numbers of a model by its behaviour on data, without labels."""
