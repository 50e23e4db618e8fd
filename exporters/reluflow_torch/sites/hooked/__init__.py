"""Patterns by hooks on the modules that are switches, where a first look has found no others."""
