"""``python -m sync.protocol [FOLDER]``: write the protocol's pages; ``--check`` compares them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from sync.protocol.asyncapi import document
from sync.protocol.readme_page import MARK, generated

FOLDER = Path(__file__).parents[2] / "docs" / "protocol"


def files(folder: Path) -> dict[Path, str]:
    """Return the text of each file in ``folder``. The first half of README.md is kept."""
    readme = folder / "README.md"
    written = (
        readme.read_text(encoding="utf-8").partition(MARK)[0]
        if readme.exists()
        else "# The protocol\n\n"
    )
    return {
        folder / "asyncapi.json": json.dumps(document(), indent=1, ensure_ascii=False) + "\n",
        readme: written + generated(),
    }


def stale(folder: Path) -> list[Path]:
    """Return the files that are not as they would be written now."""
    return [
        path
        for path, text in files(folder).items()
        if not path.exists() or path.read_text("utf-8") != text
    ]


def main() -> int:
    """Return 0 if the files were written or are up to date, 1 if one is stale."""
    parser = argparse.ArgumentParser(prog="python -m sync.protocol", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 when something is stale"
    )
    arguments = parser.parse_args()
    if arguments.check:
        for path in stale(arguments.folder):
            print(f"{path} is stale: python -m sync.protocol", file=sys.stderr)  # noqa: T201 - a command line
        return 1 if stale(arguments.folder) else 0
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for path, text in files(arguments.folder).items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
