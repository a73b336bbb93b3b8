#!/usr/bin/env python
import gc
import os
import sys

# While modules are loaded, nearly nothing becomes free: with Python's own threshold the collector
# would walk all that is there again and again, for a sixth of the start.
COLLECT_AFTER = 50_000


def main() -> None:
    gc.set_threshold(COLLECT_AFTER)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "verel_site.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
