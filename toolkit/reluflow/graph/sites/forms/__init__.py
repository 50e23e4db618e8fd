"""The forms a switch is written in: one file a kind, each a matcher of nodes."""
