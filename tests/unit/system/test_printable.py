"""Everything that is printed, logged or measured passes one function."""

import io
import json
import unicodedata

import click
import pytest
import structlog
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import CounterMetricFamily

from edge.system import log
from edge.system.program import LazyGroup
from edge.system.terminal import print_lines
from edge.values.printable import json_line, printable
from sync.metrics import labelled, write_metrics

DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
texts = st.text(st.characters())


def controls(text: str) -> set[str]:
    return {
        letter
        for letter in text
        if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(letter) in DIRECTIONS
    }


@given(texts)
def test_nothing_printable_controls_what_shows_it(text):
    assert not controls(printable(text))
    assert printable(printable(text)) == printable(text)


@given(texts)
def test_json_has_no_control_character_and_gives_each_one_back(text):
    line = json_line({"text": text})
    assert not controls(line)
    assert json.loads(line) == {"text": text}


def test_ordinary_text_of_any_language_is_shown_as_it_is():
    text = "双十一 – Größe, שלום, 👍🏽 and \\n"
    assert printable(text) == text


def test_a_log_line_has_no_control_character_and_keeps_the_text(capsys):
    stream, text = io.StringIO(), "a\x9b31m\u202e\x7f\n\x1b[2K"
    try:
        log.configure(stream).info("refused", detail=text)
    finally:
        structlog.reset_defaults()
    written = stream.getvalue()
    assert not controls(written.removesuffix("\n"))
    assert json.loads(written)["detail"] == text


def test_a_label_of_a_metric_has_no_control_character(tmp_path):
    file = tmp_path / "a.prom"
    metric = labelled(CounterMetricFamily, "x", "words", "reason", {"a\x1b\u202e": 1})
    write_metrics(file, [metric])
    assert 'reason="a\\\\x1b\\\\u202e"' in file.read_text(encoding="utf-8")


def test_style_is_for_what_the_program_says_and_not_for_what_it_quotes(capsys):
    print_lines("\x1b[8mhidden", head="ok", fg="green")
    print_lines("a\nb", "c")
    assert capsys.readouterr().out == "ok\\x1b[8mhidden\na\\x0ab\nc\n"


@pytest.mark.parametrize("error", [click.ClickException, click.UsageError])
def test_the_message_of_a_failure_is_printable_line_by_line(error):
    @click.command()
    def fails():
        raise error("the device says \x1b[2K\nnext")

    group = LazyGroup(name="x", targets={})
    group.add_command(fails)
    group.get_command = lambda _context, _name: fails
    shown = CliRunner().invoke(group, ["fails"]).output
    assert "says \\x1b[2K\nnext" in shown
    assert "\x1b" not in shown
