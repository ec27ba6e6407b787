"""Each command that a page shows exists, with each option that the page gives it."""

import re
import shlex

import click
import pytest

from edge.cli import cli as edge_scanner
from sync.agent.cli import cli as edge_sync
from sync.fleet.cli import cli as edge_fleet
from sync.hub.cli import cli as edge_hub
from tests.support.paths import ROOT

PROGRAMS = {
    "edge-scanner": edge_scanner,
    "edge-sync": edge_sync,
    "edge-fleet": edge_fleet,
    "edge-hub": edge_hub,
}
BLOCK = re.compile(r"```(?:sh|console)\n(.*?)```", re.DOTALL)
INLINE = re.compile(r"`((?:sudo )?(?:edge-scanner|edge-sync|edge-fleet|edge-hub) [^`]+)`")


def lines(page):
    text = page.read_text(encoding="utf-8")
    yield from (line for block in BLOCK.findall(text) for line in block.splitlines())
    yield from INLINE.findall(BLOCK.sub("", text).replace("\n", " "))


def shown():
    pages = [
        ROOT / "README.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "firmware-config").rglob("*.md"),
    ]
    for page in sorted(pages):
        for line in lines(page):
            try:
                words = shlex.split(line, comments=True)
            except ValueError:  # a placeholder with an apostrophe
                words = line.split()
            words = [word for word in words if word not in {"sudo", "$", "..."}]
            if words and words[0] in PROGRAMS:
                yield pytest.param(words, id=f"{page.relative_to(ROOT)}: {' '.join(words)[:60]}")


def unknown(words):
    """Return the first word that the program does not know, or None."""
    command, rest = PROGRAMS[words[0]], words[1:]
    context = click.Context(command, info_name=words[0])
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name = re.sub(r"[,.;:]$", "", rest.pop(0))
        found = command.get_command(context, name)
        if found is None:
            return name
        command, context = found, click.Context(found, info_name=name, parent=context)
    known = {name for parameter in command.get_params(context) for name in parameter.opts}
    known |= {
        name for parameter in command.get_params(context) for name in parameter.secondary_opts
    }
    given = [word.strip("[]").split("=")[0] for word in rest if word.strip("[").startswith("-")]
    return next((name for name in given if name not in {*known, "-", "--"}), None)


@pytest.mark.parametrize("words", list(shown()))
def test_a_command_on_a_page_exists(words):
    assert unknown(words) is None


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("edge-fleet pushh FILE", "pushh"),
        ("edge-fleet push FILE --dry", "--dry"),
        ("edge-hub authority relase SITE", "relase"),
        ("edge-fleet push FILE --dry-run", None),
    ],
)
def test_a_command_that_does_not_exist_is_found(line, word):
    assert unknown(line.split()) == word
