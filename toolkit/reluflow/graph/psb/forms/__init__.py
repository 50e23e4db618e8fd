"""Linear operators that have no PSB operator, written exactly in terms of those that have one."""
