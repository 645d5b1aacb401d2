"""`python -m agent` is the console script."""

from agent.cli import main

main()
