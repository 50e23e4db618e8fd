"""ActCool as a transformation of optax."""
