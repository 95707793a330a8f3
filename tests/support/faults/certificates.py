"""Makes certificate authorities, and certificates for a Redis with TLS, valid or expired."""

import shutil
import subprocess
from pathlib import Path

_NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"


def why_no_tls() -> str:
    """Return why a Redis with TLS can't run on this machine, "" if it can."""
    if shutil.which("openssl") is None:
        return "certificates need openssl"
    program = shutil.which("redis-server")
    if program is None:
        return "redis-server is not installed"
    # Built without TLS, redis-server rejects the option; built with TLS, it reports that the certificate is missing.
    words = [program, "--port", "0", "--tls-port", "1"]
    said = subprocess.run(words, capture_output=True, text=True, check=False, timeout=10).stdout
    return "" if "Failed to configure TLS" in said else "redis-server has no TLS"


class Authority:
    """A certificate authority.

    Args:
        directory: for its files, created if missing.

    Attributes:
        path: the file of its own certificate.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self.path = directory / "ca.pem"
        self._key = directory / "ca.key"
        self._openssl("req", "-x509", *self._new_key(self._key), "-out", self.path, "-days", "2", "-subj", "/CN=test")

    def sign(self, name: str, days: int = 2) -> tuple[Path, Path]:
        """Make a certificate for localhost; return the paths of the certificate and of its key.

        Args:
            name: of the files, without suffix.
            days: for how many days it is valid; -1 for an expired one.
        """
        request, key, certificate = (self._directory / f"{name}.{kind}" for kind in ("csr", "key", "pem"))
        self._openssl("req", *self._new_key(key), "-out", request, "-subj", "/CN=localhost", "-addext", _NAMES)
        self._openssl(
            *("x509", "-req", "-in", request, "-CA", self.path, "-CAkey", self._key, "-CAcreateserial"),
            *("-days", str(days), "-copy_extensions", "copy", "-out", certificate),
        )
        return certificate, key

    @staticmethod
    def _new_key(path: Path) -> tuple[str | Path, ...]:
        return ("-newkey", "rsa:2048", "-nodes", "-keyout", path)

    @staticmethod
    def _openssl(*words: str | Path) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True)
