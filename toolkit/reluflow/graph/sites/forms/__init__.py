"""The forms in which a switch is written: one file per kind, each with matchers of nodes."""
