# SPDX-License-Identifier: MIT
"""The Kubernetes example holds together: field names, references, and times that belong to each other."""

import os
import pathlib
import re
import subprocess

import pytest
import yaml

from lib.daemon import command_line
from lib.setting import REPO

MANIFEST = REPO / "contrib/kubernetes/wsluice.yaml"

# Field names by kind, as far as the example uses them: ... is any scalar or list of scalars, [x] a list of x, and a
# dict under the one key "*" a map with free names. From the API reference of Kubernetes 1.25 and later.
LABELS = {"*": ...}
META = {"name": ..., "labels": LABELS}
SELECTOR = {"matchLabels": LABELS}
PROBE = {"exec": {"command": ...}, "periodSeconds": ..., "timeoutSeconds": ..., "failureThreshold": ...}
CONTAINER = {
    "name": ..., "image": ..., "command": ..., "ports": [{"name": ..., "containerPort": ...}],
    "readinessProbe": PROBE, "livenessProbe": PROBE, "startupProbe": PROBE,
    "resources": {"requests": {"cpu": ..., "memory": ...}, "limits": {"memory": ...}},
    "securityContext": {"allowPrivilegeEscalation": ..., "readOnlyRootFilesystem": ..., "capabilities": {"drop": ...}},
    "volumeMounts": [{"name": ..., "mountPath": ..., "readOnly": ...}],
}
POD = {
    "terminationGracePeriodSeconds": ..., "automountServiceAccountToken": ..., "enableServiceLinks": ...,
    "shareProcessNamespace": ...,
    "securityContext": {"runAsNonRoot": ..., "runAsUser": ..., "runAsGroup": ..., "seccompProfile": {"type": ...}},
    "topologySpreadConstraints": [{"maxSkew": ..., "topologyKey": ..., "whenUnsatisfiable": ..., "labelSelector": SELECTOR}],
    "containers": [CONTAINER],
    "volumes": [{"name": ..., "configMap": {"name": ...}, "emptyDir": {"medium": ..., "sizeLimit": ...}}],
}
KINDS = {
    ("v1", "ConfigMap"): {"data": {"*": ...}},
    ("apps/v1", "Deployment"): {"spec": {
        "replicas": ..., "strategy": {"type": ..., "rollingUpdate": {"maxSurge": ..., "maxUnavailable": ...}},
        "selector": SELECTOR, "template": {"metadata": META, "spec": POD}}},
    ("v1", "Service"): {"spec": {"selector": LABELS, "ports": [{"name": ..., "port": ..., "targetPort": ...}]}},
    ("policy/v1", "PodDisruptionBudget"): {"spec": {"maxUnavailable": ..., "selector": SELECTOR}},
}


def unknown(value, shape, where=""):
    """Where the value has fields that the shape does not know, or another form."""
    if shape is ...:
        scalars = value if isinstance(value, list) else [value]
        return [] if all(isinstance(s, (str, int, float, bool)) for s in scalars) else [where]
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [where]
        return [w for i, item in enumerate(value) for w in unknown(item, shape[0], f"{where}[{i}]")]
    if not isinstance(value, dict):
        return [where]
    return [w for key, item in value.items() for w in
            (unknown(item, shape[key if key in shape else "*"], f"{where}.{key}") if key in shape or "*" in shape
             else [f"{where}.{key}"])]


@pytest.fixture(scope="module")
def objects():
    return {o["kind"]: o for o in yaml.safe_load_all(MANIFEST.read_text())}


@pytest.fixture
def pod(objects):
    return objects["Deployment"]["spec"]["template"]["spec"]


def seconds(text):
    return sum(float(n) * {"ms": 0.001, "s": 1, "m": 60, "": 1}[unit] for n, unit in re.findall(r"([\d.]+)(ms|s|m|)", str(text)))


def test_field_names(objects):
    assert set(objects) == {kind for _, kind in KINDS}
    for o in objects.values():
        shape = {"apiVersion": ..., "kind": ..., "metadata": META, **KINDS[o["apiVersion"], o["kind"]]}
        assert unknown(o, shape) == []
        assert o["metadata"]["name"] == "wsluice"


def test_field_check_finds_faults(objects, pod):
    assert unknown({**pod, "terminationGracePeriod": 60}, POD) == [".terminationGracePeriod"]
    assert unknown({"containers": [{"ports": [{"port": 1}]}]}, POD) == [".containers[0].ports[0].port"]
    assert unknown({"volumes": {"name": "x"}}, POD) == [".volumes"]


def test_names_refer_to_each_other(objects, pod):
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert objects["Deployment"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert objects["Service"]["spec"]["selector"].items() <= labels.items()
    assert objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    container, = pod["containers"]
    assert {p["targetPort"] for p in objects["Service"]["spec"]["ports"]} <= {p["name"] for p in container["ports"]}
    assert {m["name"] for m in container["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
    config = pathlib.PurePath(container["command"][-1])
    mounts = {m["mountPath"]: m["name"] for m in container["volumeMounts"]}
    assert mounts[str(config.parent)] == "config" and config.name in objects["ConfigMap"]["data"]
    assert objects["PodDisruptionBudget"]["spec"]["maxUnavailable"] < objects["Deployment"]["spec"]["replicas"]


def test_times_belong_together(objects, pod):
    config = yaml.safe_load(objects["ConfigMap"]["data"]["wsluice.yaml"])
    delay, timeout = seconds(config["drain-delay"]), seconds(config["drain-timeout"])
    assert delay + timeout + 5 <= pod["terminationGracePeriodSeconds"]
    readiness = pod["containers"][0]["readinessProbe"]
    assert delay >= readiness["periodSeconds"] * readiness["failureThreshold"] + readiness["timeoutSeconds"]
    port, = [p["containerPort"] for p in pod["containers"][0]["ports"]]
    assert config["listen"] == [f"0.0.0.0:{port}"]
    admin = config["admin"].removeprefix("unix:")
    assert str(pathlib.PurePath(admin).parent) in {m["mountPath"] for m in pod["containers"][0]["volumeMounts"]}


def test_config_is_accepted(objects, tmp_path):
    path = tmp_path / "wsluice.yaml"
    text = objects["ConfigMap"]["data"]["wsluice.yaml"]
    assert "admin: unix:/run/wsluice/" in text
    path.write_text(text.replace("/run/wsluice", str(tmp_path)))  # which the volume of the pod brings
    who = ["--user", "root"] if os.geteuid() == 0 else []  # the pod is not root, who would have to say so
    done = command_line("--check", "--config", path, *who)
    assert (done.returncode, done.stderr) == (0, "")


def test_probes_work_as_they_stand(objects, pod, wsluice, tmp_path):
    """The very words, with the binary of this build and an admin socket in a folder of ours."""
    from lib.setting import BINARY
    socket = f"unix:{tmp_path}/admin.sock"
    daemon = wsluice("--admin", socket, "--drain-delay", "60s", "--to", "echo:")

    def probe(name):
        argv = pod["containers"][0][name]["exec"]["command"]
        return subprocess.run([BINARY, *argv[1:]], env={"WSLUICE_ADMIN": socket}, capture_output=True, timeout=10).returncode

    assert [probe(n) for n in ("startupProbe", "livenessProbe", "readinessProbe")] == [0, 0, 0]
    daemon.process.terminate()
    daemon.wait_for_log("stopping")
    assert (probe("livenessProbe"), probe("readinessProbe")) == (0, 1)
    daemon.process.terminate()
    assert daemon.wait() == 0
    assert probe("livenessProbe") == 1


def test_processes_on_one_port(wsluice):
    """--reuse-port: the kernel spreads clients over all of them, and one can go."""
    from lib.peers import free_port
    from lib.swarm import Swarm
    port = free_port()
    daemons = [wsluice("-l", f"127.0.0.1:{port}", "--reuse-port", "--max-per-address", "0", "--to", "echo:") for _ in range(2)]
    with Swarm(daemons[0].address, rate=200, threads=4) as swarm:
        swarm.wait(100)
    swarm.check(least_rate=60)
    assert all(d.find_log("session closed") for d in daemons)
    assert daemons[0].stop() == 0
    with Swarm(daemons[1].address, rate=200, threads=4) as swarm:
        swarm.wait(20)
    swarm.check(least_rate=0)
