"""The forms a switch is written in: one file per kind, each a matcher of nodes."""
