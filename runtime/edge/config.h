/* How the kernels are compiled; `reluflow edge --strict` writes RELUFLOW_STRICT here. */
