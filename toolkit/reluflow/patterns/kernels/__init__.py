"""Hash kernels and the memory they read."""
