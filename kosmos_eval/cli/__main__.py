"""`python -m kosmos_eval.cli` is `kosmos-eval`."""

from kosmos_eval.cli import main

main()
