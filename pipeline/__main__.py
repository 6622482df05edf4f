"""`python -m pipeline` is `longtake`."""

from pipeline.cli.main import main

main()
