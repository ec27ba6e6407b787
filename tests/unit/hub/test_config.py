import pytest

from sync.hub.config import HubConfig, load_hub_config
from tests.support.paths import FIRMWARE

EXAMPLE = FIRMWARE / "hub.toml"


def test_the_shipped_example_is_a_configuration_with_its_files_beside_it():
    config = load_hub_config(EXAMPLE)
    assert isinstance(config, HubConfig)
    assert config.mqtt.ca_file == str(EXAMPLE.parent / "ca.pem")
    assert config.data_dir == "/var/lib/edge-hub"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (("port = 8883", 'port = "x"'), "mqtt.port"),
        (("port = 8883", "prot = 8883"), "mqtt.prot"),
        (('site = "shop-1"', ""), "device.0.site"),
        (("[mqtt]", "[mqtt"), ""),
    ],
)
def test_what_is_wrong_is_named_with_its_path(tmp_path, change, path):
    file = tmp_path / "hub.toml"
    file.write_text(EXAMPLE.read_text().replace(*change))
    errors = load_hub_config(file)
    assert path in [error.path for error in errors]


def test_a_file_that_is_not_there_is_named(tmp_path):
    (error,) = load_hub_config(tmp_path / "none.toml")
    assert str(error).startswith("configuration: cannot be read: "), (
        "the command adds the file's name"
    )
