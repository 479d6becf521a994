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


def client(address, certificate, *, name="localhost", timeout=SOON, low=None, high=None, alpn=None, own=None):
    """A Raw client that trusts just this certificate, as the server `name`; it shows the certificate `own`."""
    context = ssl.create_default_context(cafile=certificate.cert)
    if own:
        context.load_cert_chain(own.cert, own.key)
    if low:
        context.minimum_version = low
    if high:
        context.maximum_version = high
    if alpn:
        context.set_alpn_protocols(alpn)
    plain = Raw.connect(address, timeout=timeout)
    return Raw(context.wrap_socket(plain.sock, server_hostname=name), timeout=timeout, host=name)


class Authority:
    """A root of its own that issues certificates for servers and clients."""

    def __init__(self, folder, name="Test Root"):
        self.folder = folder
        self.stem = folder / name.replace(" ", "_")
        self.cert, self.key = f"{self.stem}.crt", f"{self.stem}.key"
        _openssl("req", "-x509", *_EC, "-subj", f"/O=wsluice/CN={name}", "-days", "30", "-addext",
                 "basicConstraints=critical,CA:TRUE", "-keyout", self.key, "-out", self.cert)

    def issue(self, subject, *names, days=30, stem=None):
        """A certificate for the subject ("/CN=x") and names (DNS or IP); days below zero: an expired one."""
        issued = Issued(self.folder / (stem or subject.rpartition("=")[2].replace(" ", "_")))
        _openssl("req", "-new", *_EC, "-subj", subject, "-utf8", "-keyout", issued.key, "-out", issued.stem + ".csr")
        extra = [f"subjectAltName={_alt(names)}"] if names else ["basicConstraints=CA:FALSE"]
        with open(issued.stem + ".ext", "w", encoding="ascii") as f:
            f.write("\n".join(extra) + "\n")
        _openssl("x509", "-req", "-in", issued.stem + ".csr", "-CA", self.cert, "-CAkey", self.key, "-days", str(days),
                 "-extfile", issued.stem + ".ext", "-out", issued.cert)
        return issued

    def ocsp(self, issued, *, revoked=False, minutes=60):
        """The file of an OCSP response about a certificate, good for so long."""
        index, out = f"{self.stem}.index", issued.stem + ".ocsp"
        serial = _openssl("x509", "-in", issued.cert, "-noout", "-serial").partition("=")[2].strip()
        state = "R\t490101000000Z\t260101000000Z" if revoked else "V\t490101000000Z\t"
        with open(index, "w", encoding="ascii") as f:
            f.write(f"{state}\t{serial}\tunknown\t/CN=x\n")
        request = issued.stem + ".ocsp-request"
        _openssl("ocsp", "-issuer", self.cert, "-cert", issued.cert, "-reqout", request)
        _openssl("ocsp", "-index", index, "-rsigner", self.cert, "-rkey", self.key, "-CA", self.cert, "-reqin", request,
                 "-respout", out, "-nmin", str(minutes))
        return out


class Issued:
    def __init__(self, stem):
        self.stem, self.cert, self.key = str(stem), f"{stem}.crt", f"{stem}.key"


_EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def _alt(names):
    return ",".join(("IP:" if n[0].isdigit() or n[0] == ":" else "DNS:") + n for n in names)


def _openssl(*args):
    done = subprocess.run(["openssl", *args], capture_output=True, text=True, timeout=SOON)
    assert done.returncode == 0, done.stderr
    return done.stdout


def s_client(port, *args, stdin=b"", timeout=SOON):
    """What `openssl s_client` prints, both streams, and its exit status."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *args], input=stdin,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)
    return done.stdout.decode("utf-8", "replace"), done.returncode
