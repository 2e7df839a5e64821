"""Dockerfile and compose.yaml, as far as they can be checked without Docker."""

import re
import tomllib
from typing import Any

import pytest
import yaml

from settings import Role, Settings
from tests.unit.deploy.manifests import ROOT, container, of_kind, pod, roles

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
STAGES = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
OURS = {name: one for name, one in COMPOSE["services"].items() if one["image"].startswith("cargo-herald")}
ROLES = {name: one for name, one in OURS.items() if "HERALD_ROLE" in one["environment"]}


def allowed() -> set[str]:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    return {line.removeprefix("!") for line in lines if line.startswith("!")}


def packaged() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    modules = {f"{module}.py" for module in project["py-modules"]}
    return modules | {one.removesuffix("*") for one in project["packages"]["find"]["include"]}


def test_the_image_gets_what_the_package_is_made_of() -> None:
    assert packaged() <= allowed()


def test_what_the_image_copies_is_let_through() -> None:
    copied = re.findall(r"^COPY (?!--from)(\S+) ", DOCKERFILE, flags=re.MULTILINE)
    assert copied
    assert {one for one in copied if one != "."} <= allowed()
    assert all((ROOT / one).exists() for one in copied)


def test_requirements_are_installed_by_hash() -> None:
    installs = re.findall(r"install (.*-r .*)$", DOCKERFILE, flags=re.MULTILINE)
    assert len(installs) == 2
    assert all("--require-hashes" in one for one in installs)


@pytest.mark.parametrize("stage", [one for one in STAGES if "COPY --from" in one], ids=lambda one: one.split("\n")[0])
def test_final_images_run_as_the_user_of_the_manifests(stage: str) -> None:
    users = {pod(one)["securityContext"]["runAsUser"] for one in of_kind("base", "StatefulSet", "Deployment", "Job")}
    assert re.findall(r"^USER (\d+):", stage, flags=re.MULTILINE) == [str(uid) for uid in users]


def test_commands_are_in_exec_form() -> None:
    """A shell in between would keep SIGTERM to itself, and the worker would never drain."""
    commands = re.findall(r"^(?:CMD|ENTRYPOINT) (.*)$", DOCKERFILE, flags=re.MULTILINE)
    assert commands
    assert all(one.startswith("[") for one in commands)


def test_the_manifests_use_the_images_that_are_built() -> None:
    built = set(re.findall(r"^#   docker build -t (\S+)", DOCKERFILE, flags=re.MULTILINE))
    assert {container(one)["image"] for one in of_kind("base", "StatefulSet", "Deployment", "Job")} == built
    assert {one["image"] for one in OURS.values()} == built


def test_compose_says_first_that_it_is_not_run_here() -> None:
    assert (ROOT / "compose.yaml").read_text(encoding="utf-8").startswith("# NOT RUN IN THIS PROJECT'S CI")


def test_compose_has_each_role_once() -> None:
    assert sorted(one["environment"]["HERALD_ROLE"] for one in ROLES.values()) == sorted(Role)
    assert all(name == one["environment"]["HERALD_ROLE"] for name, one in ROLES.items())


@pytest.mark.parametrize("name", OURS)
def test_compose_sets_only_settings(name: str) -> None:
    known = {f"HERALD_{field.upper()}" for field in Settings.model_fields}
    assert OURS[name]["environment"].keys() <= known


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_compose_waits_for_services_that_can_be_waited_for(name: str) -> None:
    for other, wait in COMPOSE["services"][name].get("depends_on", {}).items():
        awaited = COMPOSE["services"][other]
        healthy = "test" in awaited.get("healthcheck", {})
        assert wait["condition"] == ("service_healthy" if healthy else "service_completed_successfully")


def test_compose_volumes_are_declared_and_used() -> None:
    mounts = [one for service in COMPOSE["services"].values() for one in service.get("volumes", [])]
    used = {one.split(":")[0] for one in mounts if not one.startswith("$")}  # what is named by a variable is a file
    assert used == set(COMPOSE["volumes"])


def test_compose_keeps_what_kafka_has() -> None:
    kafka = COMPOSE["services"]["kafka"]
    (mount,) = kafka["volumes"]
    assert mount == f"kafka:{kafka['environment']['KAFKA_LOG_DIRS']}"


def test_push_starts_only_for_those_who_have_a_key_file() -> None:
    push = COMPOSE["services"]["send-push"]
    assert push["profiles"] == ["push"]
    assert any(f":{push['environment']['HERALD_FCM_CREDENTIALS']}:ro" in mount for mount in push["volumes"])


def test_compose_opens_no_port_to_the_network() -> None:
    ports = [port for one in COMPOSE["services"].values() for port in one.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_stack_of_compose_drains_as_long_as_the_manifests_allow() -> None:
    graces = {pod(one)["terminationGracePeriodSeconds"] for one in roles("base")}
    assert {one["stop_grace_period"] for one in ROLES.values()} == {f"{grace}s" for grace in graces}
