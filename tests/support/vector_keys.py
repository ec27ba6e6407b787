"""The keys of the public vectors, as ``cryptography`` has them."""

import base64

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}


def octets(key, name) -> bytes:
    if f"{name}_hex" in key:
        return bytes.fromhex(key[f"{name}_hex"])
    return base64.urlsafe_b64decode(key[name] + "==")


def number(key, name) -> int:
    return int.from_bytes(octets(key, name), "big")


def public(key):
    match key["kty"], key.get("crv"):
        case "OKP", "Ed25519":
            return ed25519.Ed25519PublicKey.from_public_bytes(octets(key, "x"))
        case "OKP", "Ed448":
            return ed448.Ed448PublicKey.from_public_bytes(octets(key, "x"))
        case "EC", curve:
            return ec.EllipticCurvePublicNumbers(
                number(key, "x"), number(key, "y"), CURVES[curve]
            ).public_key()
        case "RSA", _:
            return rsa.RSAPublicNumbers(number(key, "e"), number(key, "n")).public_key()
    raise AssertionError(key)


def ed25519_private(key):
    return ed25519.Ed25519PrivateKey.from_private_bytes(octets(key, "d"))
