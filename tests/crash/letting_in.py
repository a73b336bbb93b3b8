"""Run as a process of its own: `SLUG SCOPES…` makes the project, and prints a key for each scopes."""

import sys

import django


def main(slug: str, *scopes: str) -> None:
    django.setup()
    from tests.make import make_key, make_project

    project = make_project(slug)
    for each in scopes:
        print(make_key(project, *each.split(",")))


if __name__ == "__main__":
    main(*sys.argv[1:])
