"""The limits of prose in the Markdown pages: the length of a line and of a paragraph.

A paragraph ends at a blank line, a heading, a table, a code block or the next item of a list.
Tables, code blocks, HTML, link targets and front matter are not prose.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

LONGEST_LINE: Final = 100  # columns
LONGEST_PARAGRAPH: Final = 80  # words

_FENCE: Final = re.compile(r"\s*(`{3,}|~{3,})")
_HEADING: Final = re.compile(r"#{1,6}\s")
_ITEM: Final = re.compile(r"\s*(?:[-*+]|\d+[.)])\s+")
_TARGET: Final = re.compile(r"\]\([^)\s]*\)|<?https?://\S+|^\s*\[[^\]]+\]:.*")


class Paragraph(NamedTuple):
    """A paragraph, or an item of a list."""

    line_no: int  # of its first line, from 1
    words: int


class _Prose(NamedTuple):
    line_no: int
    text: str  # without link targets; "" where a paragraph ends
    begins: bool  # a heading or an item of a list, which need no blank line before it


def too_long(page: str) -> list[str]:
    """Return what is too long in the Markdown text ``page``, a sentence each.

    >>> too_long("word " * 81)
    ['line 1: 404 columns, the limit is 100', 'line 1: a paragraph of 81 words, the limit is 80']
    """
    lines = list(_prose(page))
    return [
        f"line {line.line_no}: {len(line.text)} columns, the limit is {LONGEST_LINE}"
        for line in lines
        if len(line.text) > LONGEST_LINE
    ] + [
        f"line {paragraph.line_no}: a paragraph of {paragraph.words} words,"
        f" the limit is {LONGEST_PARAGRAPH}"
        for paragraph in _paragraphs(lines)
        if paragraph.words > LONGEST_PARAGRAPH
    ]


def _paragraphs(lines: list[_Prose]) -> Iterator[Paragraph]:
    line_no, words = 0, 0
    for line in lines:
        if line.begins or not line.text:
            yield Paragraph(line_no, words)
            words = 0
        if not words:
            line_no = line.line_no
        words += len(_ITEM.sub("", line.text, count=1).split())
    yield Paragraph(line_no, words)


def _prose(page: str) -> Iterator[_Prose]:
    lines = page.splitlines()
    matter = lines.index("---", 1) + 1 if lines[:1] == ["---"] else 0
    fence = ""
    for line_no, line in enumerate(lines[matter:], start=matter + 1):
        found = _FENCE.match(line)
        if fence or found or line.lstrip().startswith(("|", "<")):
            if found:
                fence = _fence_after(fence, found[1])
            yield _Prose(line_no, "", begins=False)
            continue
        yield _Prose(
            line_no,
            _TARGET.sub("]", line).rstrip(),
            begins=bool(_ITEM.match(line) or _HEADING.match(line)),
        )
        if _HEADING.match(line):
            yield _Prose(line_no, "", begins=False)


def _fence_after(fence: str, found: str) -> str:
    """Return the fence of the open code block, "" where none is open."""
    if not fence:
        return found
    return "" if found.startswith(fence) else fence
