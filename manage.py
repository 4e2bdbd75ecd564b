#!/usr/bin/env python
"""Django's command-line entry point for this project."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fastgraph_site.settings")
    from fastgraph_site.server import startup

    startup.load()
    startup.execute(sys.argv)


if __name__ == "__main__":
    main()
