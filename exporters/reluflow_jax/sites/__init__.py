"""The switch sites of a function of JAX: found in its jaxpr, tapped, compared, counted."""
