"""Run a command of edge-fleet in this process."""

from click.testing import CliRunner


def run(command, *arguments, exit_code=0, **options):
    result = CliRunner().invoke(command, [str(argument) for argument in arguments], **options)
    assert result.exit_code == exit_code, result.output
    assert "Traceback" not in result.output
    return result
