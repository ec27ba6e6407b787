"""The device's key pair, the request for its certificate, and the certificate that comes back."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge.documents.enrolment_code import EnrolmentCode
from edge.identity.damage import IDENTITY
from edge.system.durable_file import write_secret
from edge.token.keys import private_key_pem
from sync.agent.enrolment.enrolment_error import EnrolmentError

_SERIAL_FILE: Final = Path("/proc/device-tree/serial-number")  # of a Raspberry Pi


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new private key on P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def key_for_code(data: Path, code: EnrolmentCode) -> ec.EllipticCurvePrivateKey:
    """Return the key for this code, on disk before it is used: a lost reply can be repeated."""
    path = (data / IDENTITY).parent / f"new-{code.id.hex()}.key"
    with suppress(OSError, ValueError):
        stored = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if isinstance(stored, ec.EllipticCurvePrivateKey):
            return stored
    key = new_key()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_secret(path, private_key_pem(key))
    return key


def certificate_request(key: ec.EllipticCurvePrivateKey) -> str:
    """Return a certificate request for ``key``, PEM. The service adds the device's name."""
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .sign(key, hashes.SHA256())
    )
    return request.public_bytes(serialization.Encoding.PEM).decode()


def certificate_files(
    pem: str, key: ec.EllipticCurvePrivateKey, device: str
) -> tuple[str, dict[str, bytes]]:
    """Return the name of a certificate's files without suffix, and their contents.

    Raises EnrolmentError for a certificate of another device or another key.
    """
    certificate = x509.load_pem_x509_certificate(pem.encode())
    names = [item.value for item in certificate.subject if item.rfc4514_attribute_name == "CN"]
    if certificate.public_key() != key.public_key() or names != [device]:
        raise EnrolmentError(
            "wrong_certificate", "the service issued a certificate for another device"
        )
    name = f"device-{certificate.serial_number:x}"[:40]
    return name, {f"{name}.key": private_key_pem(key), f"{name}.pem": pem.encode()}


def board_serial() -> str:
    """Return the serial number of this board; empty where it has none."""
    with suppress(OSError):
        return _SERIAL_FILE.read_bytes().rstrip(b"\0").decode(errors="replace")
    return ""
