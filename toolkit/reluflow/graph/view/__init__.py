"""The flat read-only view of a graph: scopes, shapes, constants, what depends on what."""
