"""`python -m moonlet` is the `moonlet` command."""

from moonlet.cli.main import main

main()
