"""The top of each program: a failure of our own ends in one sentence (ADR 0005)."""

import click
import pytest

from edge.system.program import run_program
from edge.values.errors import EdgeError


def ending_of(error, capsys):
    """Return the exit code and the errors printed by a program that raises ``error``."""

    @click.command()
    def fail():
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["edge-test"])
        with pytest.raises(SystemExit) as ending:
            run_program(fail, "edge-test")
    return ending.value.code, capsys.readouterr().err


def test_a_failure_that_no_command_handles_is_one_sentence_and_exit_code_1(capsys):
    error = EdgeError("the store is locked: stop the other process")
    assert ending_of(error, capsys) == (
        1,
        "edge-test: the store is locked: stop the other process\n",
    )


def test_a_failure_without_a_message_is_named_by_its_class(capsys):
    assert ending_of(EdgeError(), capsys) == (1, "edge-test: EdgeError\n")


def test_a_mistake_of_the_program_keeps_its_traceback(capsys):
    with pytest.raises(ZeroDivisionError):
        ending_of(ZeroDivisionError(), capsys)
