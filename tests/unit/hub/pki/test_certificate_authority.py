"""Certificates of the product's own authority pass strict verification (RFC 5280).

They pass with the Python of every supported release.
"""

import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from edge.values.instant import ClockTrust, Instant
from sync.hub.pki.certificate_authority import (
    CertificateAuthority,
    Credential,
    authority_pem,
    issue_client,
    issue_for,
    issue_server,
    load_certificate_authority,
    new_certificate_authority,
    reissue,
)
from sync.mqtt.endpoint import Endpoint
from sync.mqtt.tls import client_context, tls_context
from tests.support.certificates import without_authority_key_identifier

NOW_S = int(time.time())


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    made = authority_pem(new_certificate_authority("site", now_s=NOW_S))
    return load_certificate_authority(made.certificate_pem, made.key_pem)


def files(folder: Path, name: str, credential: Credential) -> tuple[str, str]:
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    cert.write_bytes(credential.certificate_pem)
    key.write_bytes(credential.key_pem)
    return str(cert), str(key)


def ca_file(folder: Path, authority: CertificateAuthority) -> str:
    (folder / "ca.pem").write_bytes(authority_pem(authority).certificate_pem)
    return str(folder / "ca.pem")


def server_context(ca: str, cert: str, key: str) -> ssl.SSLContext:
    """As the broker and the enrolment service: TLS 1.3, and a client shows its certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(ca)
    context.load_cert_chain(cert, key)
    return context


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, host: str = "localhost") -> None:
    """Shake hands in memory.

    Raises SSLCertVerificationError from the end that rejects the other.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    done = [False, False]
    while not all(done):
        for number, end in enumerate(ends):
            try:
                end.do_handshake()
                done[number] = True
            except ssl.SSLWantReadError:
                continue


def successor(authority: CertificateAuthority, credential: Credential) -> Credential:
    certificate = x509.load_pem_x509_certificate(credential.certificate_pem)
    renewed = reissue(authority, certificate, now_s=NOW_S)
    return Credential(renewed.public_bytes(Encoding.PEM), credential.key_pem)


@pytest.mark.parametrize("renewed", [False, True], ids=["first", "renewed"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_server_and_client_certificates_hold_under_strict_verification(
    authority, tmp_path, renewed, host
):
    server, client = (
        issue_server(authority, [host], now_s=NOW_S),
        issue_client(authority, "kiosk-1", now_s=NOW_S),
    )
    if renewed:
        server, client = successor(authority, server), successor(authority, client)
    ca = ca_file(tmp_path, authority)
    shake_hands(
        client_context(ca, *files(tmp_path, "client", client)),
        server_context(ca, *files(tmp_path, "server", server)),
        host,
    )


def test_a_certificate_for_a_key_that_the_device_keeps_holds_under_strict_verification(
    authority, tmp_path
):
    own = issue_client(authority, "kiosk-1", now_s=NOW_S)  # its key stands for the device's
    key = x509.load_pem_x509_certificate(own.certificate_pem).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    issued = issue_for(authority, "kiosk-1", key, now_s=NOW_S, days=1)
    client = Credential(issued.public_bytes(Encoding.PEM), own.key_pem)
    ca, server = ca_file(tmp_path, authority), issue_server(authority, ["localhost"], now_s=NOW_S)
    shake_hands(
        client_context(ca, *files(tmp_path, "client", client)),
        server_context(ca, *files(tmp_path, "server", server)),
    )


@pytest.mark.parametrize("trust", [ClockTrust.TRUSTED, ClockTrust.FLOOR_ONLY], ids=str)
def test_a_client_refuses_a_server_whose_certificate_is_not_strictly_valid(
    authority, tmp_path, trust
):
    """With a clock that is not trusted, too: then the dates alone are not looked at."""
    bare = without_authority_key_identifier(
        authority, issue_server(authority, ["localhost"], now_s=NOW_S)
    )
    ca = ca_file(tmp_path, authority)
    cert, key = files(tmp_path, "client", issue_client(authority, "kiosk-1", now_s=NOW_S))
    endpoint = Endpoint(
        host="localhost", port=8883, client_id="kiosk-1", ca_file=ca, cert_file=cert, key_file=key
    )
    with pytest.raises(ssl.SSLCertVerificationError, match="Authority Key Identifier"):
        shake_hands(
            tls_context(endpoint, Instant(unix_s=NOW_S, trust=trust)),
            server_context(ca, *files(tmp_path, "server", bare)),
        )
