"""``edge-hub authority site``: a shop's broker of a platform, with names that are checked."""

from dataclasses import replace

import pytest
from click.testing import CliRunner

from sync.hub.cli import cli
from sync.hub.provisioning.platform import provision
from sync.hub.provisioning.platform_files import ProvisioningError
from sync.hub.provisioning.platform_spec import PlatformSpec
from sync.hub.site.broker_provisioning import SiteBroker, provision_site_broker

NOW_S = 1_800_000_000
SPEC = PlatformSpec(tenant="shops", devices={"kiosk-1": "shop-1"})


@pytest.fixture
def platform(tmp_path):
    return provision(tmp_path / "platform", SPEC, None, now_s=NOW_S)


def test_it_takes_the_tenant_of_the_platform(platform, tmp_path):
    folder = tmp_path / "shop"
    options = f"--platform {platform.folder} --site shop-1 --device kiosk-1 --grant-key k --roots r"
    result = CliRunner().invoke(cli, ["authority", "site", str(folder), *options.split()])
    assert result.exit_code == 0, result.output
    assert 'tenant = "shops"' in (folder / "authority.toml").read_text()
    assert "v1/shops/kiosk-1/dn/res" in (folder / "acl").read_text()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"site": "shop 1"}, id="a site that is no name"),
        pytest.param({"site": "s" * 40}, id="a site whose authority would have no name"),
        pytest.param({"devices": ("kiosk-1", "site-1")}, id="a device with a reserved name"),
    ],
)
def test_a_name_that_cannot_be_is_refused_before_anything_is_made(platform, tmp_path, change):
    at = SiteBroker(
        site="shop-1",
        devices=("kiosk-1",),
        platform=("127.0.0.1", 8883),
        grant_key=tmp_path / "grant.pem",
        roots=tmp_path / "roots.cbor",
    )
    with pytest.raises(ProvisioningError):
        provision_site_broker(tmp_path / "shop", replace(at, **change), platform, now_s=NOW_S)
    assert not (tmp_path / "shop").exists()
