"""The Python interface of reluflow: one file for each kind of task; `reluflow` exports them."""
