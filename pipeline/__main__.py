"""`python -m pipeline` is `sidewalk`."""

from pipeline.cli import main

main()
