"""A file with a private key, with which the platform or operations sign."""

from __future__ import annotations

from pathlib import Path

from edge.token.keys import Signer, UnfitKeyError, signer_from_pem
from edge.values.errors import EdgeError


class SignerFileError(EdgeError):
    """A private key cannot be used. The message says why, and what to do."""


def load_signer(path: Path, *, advice: str) -> Signer:
    """Read the private key in ``path``. Raises SignerFileError.

    ``advice`` is what to do about a file that cannot be read.
    """
    try:
        return signer_from_pem(path.read_bytes())
    except OSError as error:
        raise SignerFileError(f"cannot read {path}: {error.strerror}; {advice}") from None
    except UnfitKeyError as error:
        raise SignerFileError(f"{path} is not a usable private key: {error}") from None
