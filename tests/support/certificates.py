"""Certificates that the product's own authority never issues."""

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from sync.hub.pki.certificate_authority import CertificateAuthority, Credential


def without_authority_key_identifier(
    authority: CertificateAuthority, credential: Credential
) -> Credential:
    """Return the certificate as an authority that omits the identifier would issue it."""
    certificate = x509.load_pem_x509_certificate(credential.certificate_pem)
    builder = x509.CertificateBuilder(
        issuer_name=certificate.issuer,
        subject_name=certificate.subject,
        public_key=certificate.public_key(),
        serial_number=certificate.serial_number,
        not_valid_before=certificate.not_valid_before_utc,
        not_valid_after=certificate.not_valid_after_utc,
    )
    for extension in certificate.extensions:
        if not isinstance(extension.value, x509.AuthorityKeyIdentifier):
            builder = builder.add_extension(extension.value, critical=extension.critical)
    signed = builder.sign(authority.key, hashes.SHA256())
    return Credential(signed.public_bytes(Encoding.PEM), credential.key_pem)
