"""Which pixels of its inputs each pixel of a node's output reads."""
