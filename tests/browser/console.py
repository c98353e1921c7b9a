"""Checks of the console in a real Chromium. Usage: console.py CHECK CONSOLE_URL SERVICE_URL [FOLDER]

CHECK is a function of one of the modules below. The service is the project of tests/tests/browser/console_page.rs. A check that
prints `restart` reads the new SERVICE_URL from standard input.
"""

import pathlib
import sys

import access
import changing
import pictures
import reading
import strain
from session import Service, browser


def main(name, console, url, *folders):
    """Runs the check of this name."""
    modules = [reading, access, changing, strain, pictures]
    check = next(getattr(module, name) for module in modules if hasattr(module, name))
    with browser() as chromium:
        check(chromium, Service(console, url), *map(pathlib.Path, folders))


if __name__ == "__main__":
    main(*sys.argv[1:])
