"""Errors in the configuration of a shop's bridge read like those of every configuration."""

import pytest
from click.testing import CliRunner

from sync.hub.site.bridge_cli import bridge


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[here", "configuration: not TOML: "),
        ('site = "shop-1"', "platform: Field required"),
        ('site = "shop-1"\nport = 1', "port: Extra inputs are not permitted"),
        ("a = " + "[" * 9999, "nested more than 16 deep"),
        (None, "configuration: cannot be read: No such file or directory"),
    ],
)
def test_an_invalid_configuration_is_reported_with_what_is_wrong(tmp_path, text, message):
    file = tmp_path / "bridge.toml"
    if text is not None:
        file.write_text(text)
    done = CliRunner().invoke(bridge, ["--config", str(file)])
    assert done.exit_code == 1
    assert message in done.output
    assert str(file) in done.output
