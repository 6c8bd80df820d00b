"""``python -m bundlekit``."""

from bundlekit.cli import main

main()
