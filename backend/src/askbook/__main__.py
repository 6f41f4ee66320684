"""`python -m askbook`: the same as `askbook`."""

from askbook.cli import main

main()
