"""The Python face of reluflow: one file for each kind of job; `reluflow` names its calls."""
