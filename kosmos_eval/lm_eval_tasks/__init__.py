"""Tasks of lm-eval, by its own task code: the papers' language tasks, and any other by its name."""
