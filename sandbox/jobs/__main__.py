"""`python -m sandbox.jobs --image FOLDER <what> …`: the entrypoint of the shop's images when a Job runs them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sandbox.jobs.image import Image

FLOOD_BYTES = 50 * 1024 * 1024
LINE = b"DEBUG anvil: hammered once more, and once more, and once more\n"


def main() -> int:
    """Each program is imported when it is wanted: a suite needs no load generator."""
    asked = _parser().parse_args()
    image = Image(asked.image)
    program = getattr(asked, "suite", "") or asked.what
    if image.how(program) == "floods":
        flood()
    if asked.what == "migrate":
        from sandbox.jobs.migrate import migrate

        return migrate(image, asked.direction, asked.name)
    if asked.what == "verify":
        from sandbox.jobs.verify import verify

        return verify(image)
    if asked.what == "suite":
        from sandbox.jobs.suites import suite

        return suite(image, asked.suite)
    if asked.what == "restore":
        from sandbox.jobs.restore import restore

        return restore()
    from sandbox.jobs.load import load

    return load(image)


def flood() -> None:
    """50 MB of what nobody reads."""
    out, block = sys.stdout.buffer, LINE * 1000
    for _ in range(FLOOD_BYTES // len(block)):
        out.write(block)
    out.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="shop")
    parser.add_argument("--image", type=Path, required=True)
    programs = parser.add_subparsers(dest="what", required=True)
    migrate = programs.add_parser("migrate")
    migrate.add_argument("direction", choices=("up", "down"))
    migrate.add_argument("name")
    programs.add_parser("verify")
    programs.add_parser("suite").add_argument("suite", choices=("integration", "e2e", "migration", "compatibility"))
    programs.add_parser("load")
    programs.add_parser("restore")
    return parser


if __name__ == "__main__":
    sys.exit(main())
