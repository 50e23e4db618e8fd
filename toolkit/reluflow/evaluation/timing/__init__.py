"""Where a run of a converted model spends its time, beside the float model's."""
