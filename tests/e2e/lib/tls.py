# SPDX-License-Identifier: MIT
"""Certificates made on the spot by openssl(1), and Raw clients over TLS."""

import ssl
import subprocess

from .setting import SOON
from .wire import Raw


class Certificate:
    """A self-signed EC certificate with its key, for the given names (DNS or IP)."""

    def __init__(self, folder, *names, days=30, stem=None):
        stem = folder / (stem or names[0].replace("*", "any"))
        self.cert, self.key = f"{stem}.crt", f"{stem}.key"
        alt = ",".join(("IP:" if n[0].isdigit() else "DNS:") + n for n in names)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-subj", f"/CN={names[0]}", "-addext", f"subjectAltName={alt}", "-days", str(days),
                        "-keyout", self.key, "-out", self.cert], check=True, capture_output=True)


def client(address, certificate, *, name="localhost", timeout=SOON, low=None, high=None, alpn=None):
    """A Raw client that trusts just this certificate, as the server `name`."""
    context = ssl.create_default_context(cafile=certificate.cert)
    if low:
        context.minimum_version = low
    if high:
        context.maximum_version = high
    if alpn:
        context.set_alpn_protocols(alpn)
    plain = Raw.connect(address, timeout=timeout)
    return Raw(context.wrap_socket(plain.sock, server_hostname=name), timeout=timeout, host=name)
