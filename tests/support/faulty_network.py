"""A platform behind a proxy whose faults a test chooses."""

from contextlib import contextmanager

from hardware_sim.faults.mqtt_proxy import Proxy, ProxyIdentity

from tests.support.platform_processes import Device, Platform


@contextmanager
def proxied(platform: Platform, device: Device, *, mqtt: bool = False):
    """``device`` reaches its broker through a proxy."""
    files, port = platform.broker.files, platform.broker.site.port
    identity = ProxyIdentity(
        ca_file=files.ca,
        server=(files.certificate("broker"), files.key("broker")),
        client=(files.certificate(device.name), files.key(device.name)),
    )
    with Proxy(port, identity=identity if mqtt else None) as proxy:
        text = device.profile.read_text()
        device.profile.write_text(
            text.replace(f"port = {port}", f"port = {proxy.port}\nkeepalive_s = 5")
        )
        with device.sync:
            yield proxy
        device.profile.write_text(text)
