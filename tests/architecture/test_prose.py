"""The limits of prose, and what they leave alone."""

import pytest

from tests.support.prose import too_long

LONG_LINE = "x" * 101
LONG_PARAGRAPH = "\n".join(["a b c d e f g h i"] * 9)  # 81 words


def test_short_prose_is_not_reported():
    assert too_long("# Title\n\n" + "x" * 100 + "\n\n" + "word\n" * 80) == []


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(LONG_LINE, id="a paragraph"),
        pytest.param(f"# {LONG_LINE}", id="a heading"),
        pytest.param(f"- {LONG_LINE}", id="an item of a list"),
        pytest.param(f"```\ncode\n```\n{LONG_LINE}", id="after a code block"),
        pytest.param(f"---\ntitle: x\n---\n{LONG_LINE}", id="after front matter"),
        pytest.param(f"[{LONG_LINE}](x.md)", id="the text of a link"),
    ],
)
def test_a_long_line_is_reported(page):
    (finding,) = too_long(page)
    assert "columns, the limit is 100" in finding


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(LONG_PARAGRAPH, id="a paragraph"),
        pytest.param(f"# Title\n{LONG_PARAGRAPH}", id="below a heading"),
        pytest.param(f"- short\n- {LONG_PARAGRAPH}\n- short", id="an item of a list"),
        pytest.param(f"1. {LONG_PARAGRAPH}", id="an item of a numbered list"),
        pytest.param(f"| a | b |\n\n{LONG_PARAGRAPH}", id="after a table"),
    ],
)
def test_a_long_paragraph_is_reported(page):
    (finding,) = too_long(page)
    assert "a paragraph of 81 words, the limit is 80" in finding


def test_a_finding_names_the_line_where_the_paragraph_begins():
    assert too_long(f"# Title\n\nshort\n\n{LONG_PARAGRAPH}\n\nshort")[0].startswith("line 5:")


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(f"| {LONG_LINE} |", id="a table"),
        pytest.param(f"```mermaid\n{LONG_LINE}\n{LONG_PARAGRAPH}\n```", id="a code block"),
        pytest.param(f"~~~~\n```\n{LONG_LINE}\n~~~~", id="a fence within a code block"),
        pytest.param(f"See [it](https://example.org/{LONG_LINE}).", id="the target of a link"),
        pytest.param(f"See https://example.org/{LONG_LINE}", id="a bare link"),
        pytest.param(f"[it]: https://example.org/{LONG_LINE}", id="a link reference"),
        pytest.param(f"<img src='{LONG_LINE}'>", id="HTML"),
        pytest.param("- a b c d e f g h i j\n" * 9, id="a list of short items"),
        pytest.param("a b c d e f g h i\n\n" * 9, id="several paragraphs"),
    ],
)
def test_what_is_not_prose_is_left_alone(page):
    assert too_long(page) == []
