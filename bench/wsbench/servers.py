# SPDX-License-Identifier: MIT
"""What is compared: wsluice, the floors, and peers from Debian, each started on loopback when needed."""

import os
import re
import shutil
import subprocess

from . import proc
from .load import TOP, tool

PACKAGES = {"websocketd": "websocketd", "websockify": "websockify", "lighttpd": "lighttpd", "haproxy": "haproxy",
            "nginx": "nginx-light", "socat": "socat", "openssl": "openssl"}
NGINX_STREAM = "/usr/lib/nginx/modules/ngx_stream_module.so"


class Server:
    """A running server. load_args: what the load generator needs to know about it."""

    def __init__(self, label, process, port, tcp=False, text=False, load_args=()):
        self.label = label
        self.process = process
        self.pid = process.pid
        self.port = port
        self.tcp = tcp
        self.text = text
        self.load_args = list(load_args)
        self.also = []  # pids of more processes that serve the same port

    def stop(self):
        proc.stop(self.process)


def wsluice_path():
    return os.environ.get("WSLUICE") or os.path.join(TOP, "build", "plain", "wsluice")


def have(program):
    """Is a peer there? Debian puts some of them in /usr/sbin."""
    return find(program) is not None


def find(program):
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")


def need(program):
    path = find(program)
    if path is None:
        raise proc.StartError(f"not installed (package {PACKAGES.get(program, program)})")
    return path


def missing_packages():
    missing = [pkg for program, pkg in PACKAGES.items() if not have(program)]
    if not os.path.exists(NGINX_STREAM):
        missing.append("libnginx-mod-stream")
    if not os.path.exists("/usr/lib/lighttpd/mod_wstunnel.so") and "lighttpd" not in missing:
        missing.append("lighttpd (its mod_wstunnel)")
    return missing


def versions():
    """{name: version} of everything that is compared."""
    found = {}
    if os.path.exists(wsluice_path()):
        r = subprocess.run([wsluice_path(), "-V"], capture_output=True, text=True, timeout=10, check=False)
        found["wsluice"] = " ".join(r.stdout.split()[1:]) or "?"
    for pkg in [*PACKAGES.values(), "libnginx-mod-stream", "libev4", "libssl3"]:
        r = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", pkg], capture_output=True, text=True,
                           timeout=10, check=False)
        if r.returncode == 0 and r.stdout:
            found[pkg] = r.stdout
    return found


def certificate():
    """(certificate, key): files of a self-signed one with an ECDSA P-256 key, the same for all servers."""
    stem = os.path.join(proc.scratch(), "localhost")
    if not os.path.exists(stem + ".crt"):
        made = subprocess.run([need("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
                               "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost", "-days", "2",
                               "-keyout", stem + ".key", "-out", stem + ".crt"],
                              capture_output=True, text=True, timeout=20, check=False)
        if made.returncode:
            raise proc.StartError("openssl: " + made.stderr.strip().splitlines()[-1])
    return stem + ".crt", stem + ".key"


# -- ours ---------------------------------------------------------------------------------------------------------

def wsluice(*args, label="wsluice", text=False, port=0, command=()):
    """args: options; command: the program behind it, if any."""
    path = wsluice_path()
    if not os.path.exists(path):
        raise proc.StartError(f"{os.path.relpath(path, TOP)} is not built")
    argv = [path, "-l", f"127.0.0.1:{port}", "--max-per-address", "100000", "--max-sessions", "100000", *args]
    if command:
        argv += ["--", *command]
    p = proc.start(argv, "wsluice")
    return Server(label, p, proc.port_from_log(p, "wsluice"), text=text)


def wsluice_tls(*args, **kwargs):
    """The same with TLS."""
    cert, key = certificate()
    server = wsluice("--tls-cert", cert, "--tls-key", key, *args, **kwargs)
    server.load_args.append("--tls")
    return server


# -- floors -------------------------------------------------------------------------------------------------------

def _floor(label, name, *args, tcp=True, load_args=()):
    p = proc.start([tool(name), *args], name)
    return Server(label, p, proc.port_from_log(p, name), tcp=tcp, load_args=load_args)


def floor_echo(label="floor: epoll echo"):
    return _floor(label, "floor_echo", load_args=["--pad"])


def floor_ws_echo(label="floor: epoll echo, framed"):
    return _floor(label, "floor_echo", "--ws", tcp=False)


def floor_ssl(label="floor: SSL_read+SSL_write"):
    return _floor(label, "floor_ssl", *certificate(), load_args=["--tls", "--pad"])


def floor_bridge(port, label="floor: libev bridge"):
    return _floor(label, "floor_bridge", str(port), load_args=["--pad"])


def floor_pipe(*command, label="floor: libev pipe bridge"):
    return _floor(label, "floor_bridge", "--", *command, load_args=["--pad"])


def floor_relay(port, label="floor: recv+write"):
    return _floor(label, "floor_relay", str(port), load_args=["--pad"])


def floor_relay_pipe(*command, label="floor: recv+write"):
    return _floor(label, "floor_relay", "--", *command, load_args=["--pad"])


def floor_fan(*command, label="floor: epoll sender"):
    return _floor(label, "floor_fan", *command)


# -- peers --------------------------------------------------------------------------------------------------------

def _peer(label, argv, port, **kwargs):
    p = proc.start(argv, re.sub(r"\W+", "-", label))
    proc.wait_port(p, port, label)
    return Server(label, p, port, **kwargs)


def _config(name, text):
    path = os.path.join(proc.scratch(), f"{name}.{proc.free_port()}.conf")
    with open(path, "w") as f:
        f.write(text)
    return path


def websocketd(*command, binary=False, label=None):
    port = proc.free_port()
    argv = [need("websocketd"), "--address=127.0.0.1", f"--port={port}", *(["--binary"] if binary else []), *command]
    return _peer(label or "websocketd" + (" --binary" if binary else ""), argv, port, text=not binary)


def websockify(backend):
    port = proc.free_port()
    return _peer("websockify", [need("websockify"), f"127.0.0.1:{port}", f"127.0.0.1:{backend}"], port)


def lighttpd(backend):
    port = proc.free_port()
    path = _config("lighttpd", f"""
server.modules = ("mod_wstunnel")
server.document-root = "{proc.scratch()}"
server.bind = "127.0.0.1"
server.port = {port}
server.max-fds = 20000
server.max-connections = 9500
wstunnel.server = ( "" => ( ( "host" => "127.0.0.1", "port" => "{backend}" ) ) )
wstunnel.frame-type = "binary"
""")
    return _peer("lighttpd mod_wstunnel", [need("lighttpd"), "-D", "-f", path], port)


def haproxy(backend, mode="http"):
    """mode http: a WebSocket tunnel to a WebSocket server; tcp: a plain relay."""
    port = proc.free_port()
    path = _config("haproxy", f"""
global
    maxconn 9500
    nbthread 1
defaults
    mode {mode}
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
frontend f
    bind 127.0.0.1:{port}
    maxconn 9500
    default_backend b
backend b
    server s 127.0.0.1:{backend}
""")
    label = "haproxy tunnel" if mode == "http" else "haproxy tcp (no framing)"
    return _peer(label, [need("haproxy"), "-db", "-f", path], port, tcp=mode == "tcp",
                 load_args=["--pad"] if mode == "tcp" else [])


def nginx(backend):
    need("nginx")
    if not os.path.exists(NGINX_STREAM):
        raise proc.StartError("not installed (package libnginx-mod-stream)")
    port = proc.free_port()
    path = _config("nginx", f"""
load_module {NGINX_STREAM};
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {proc.scratch()}/nginx.{port}.pid;
error_log stderr warn;
events {{ worker_connections 19000; }}
stream {{
    server {{ listen 127.0.0.1:{port} backlog=4096; proxy_pass 127.0.0.1:{backend}; tcp_nodelay on; }}
}}
""")
    return _peer("nginx stream (no framing)", [need("nginx"), "-e", "stderr", "-c", path], port, tcp=True,
                 load_args=["--pad"])


def socat(backend):
    port = proc.free_port()
    argv = [need("socat"), f"TCP-LISTEN:{port},bind=127.0.0.1,fork,nodelay,backlog=1024",
            f"TCP:127.0.0.1:{backend},nodelay"]
    return _peer("socat (no framing)", argv, port, tcp=True, load_args=["--pad"])
