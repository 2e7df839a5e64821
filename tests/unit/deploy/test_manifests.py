"""The manifests: valid, restricted, and in step with the settings."""

import copy

import kubernetes_validate
import pytest
from dotenv import dotenv_values

from settings import Role, Settings
from tests.unit.deploy.manifests import (
    ROOT,
    TOOLBOX,
    Manifest,
    config,
    container,
    environment,
    name,
    of_kind,
    pod,
    pod_template,
    rendered,
    roles,
    secret_keys,
    toolbox,
)

FOLDERS = ("base", "overlays/production")
OLDEST, NEWEST = "1.30", "1.37"

WORKLOADS = [one for folder in FOLDERS for one in roles(folder)]
JOBS = [one for folder in FOLDERS for one in of_kind(folder, "Job", "CronJob")]
PODS = WORKLOADS + JOBS + [toolbox(folder) for folder in FOLDERS]
STATEFUL = {Role.ENRICH, Role.SEND_SMS, Role.SEND_EMAIL, Role.SEND_PUSH}
SECRET = {
    "HERALD_POSTGRES",
    "HERALD_REDIS",
    "HERALD_API_KEYS",
    "HERALD_SMS_TOKEN",
    "HERALD_SMTP_USER",
    "HERALD_SMTP_PASSWORD",
}

every_workload = pytest.mark.parametrize("workload", WORKLOADS, ids=name)
every_pod = pytest.mark.parametrize("workload", PODS, ids=name)
every_folder = pytest.mark.parametrize("folder", FOLDERS)


def settings(variables: dict[str, str]) -> Settings:
    return Settings.model_validate({key.removeprefix("HERALD_").lower(): value for key, value in variables.items()})


@every_folder
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_manifest_fits_the_schema_of_its_kind(folder: str, version: str) -> None:
    for manifest in rendered(folder):
        kubernetes_validate.validate(copy.deepcopy(manifest), version, strict=True)


def test_the_schema_check_refuses_a_field_that_does_not_exist() -> None:
    broken = copy.deepcopy(WORKLOADS[0])
    broken["spec"]["template"]["spec"]["terminationGracePeriod"] = 60
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, NEWEST, strict=True)


@every_folder
def test_each_role_is_one_workload_stateful_where_its_tables_are(folder: str) -> None:
    kinds = {environment(one)["HERALD_ROLE"]: one["kind"] for one in roles(folder)}
    assert kinds == {role: "StatefulSet" if role in STATEFUL else "Deployment" for role in Role}
    assert len(roles(folder)) == len(Role)


@every_folder
def test_each_role_is_disrupted_one_pod_at_a_time(folder: str) -> None:
    budgets = {one["metadata"]["name"]: one["spec"] for one in of_kind(folder, "PodDisruptionBudget")}
    for workload in roles(folder):
        budget = budgets[workload["metadata"]["name"]]
        assert budget["maxUnavailable"] == 1
        assert budget["selector"] == workload["spec"]["selector"]


@every_workload
def test_selectors_find_their_own_pods_alone(workload: Manifest) -> None:
    wanted = workload["spec"]["selector"]["matchLabels"]
    labels = workload["spec"]["template"]["metadata"]["labels"]
    assert wanted.items() <= labels.items()
    assert wanted["app.kubernetes.io/component"] == environment(workload)["HERALD_ROLE"]


@every_pod
def test_every_variable_is_a_setting(workload: Manifest) -> None:
    known = {f"HERALD_{field.upper()}" for field in Settings.model_fields}
    named = {key for key in (*config("base"), *environment(workload)) if key.startswith("HERALD_")}
    assert named - known == set()


@every_folder
def test_the_settings_accept_the_configuration(folder: str) -> None:
    checked = settings(config(folder))
    assert checked.replication_factor == 3
    assert checked.http_host == "0.0.0.0"
    assert checked.log_format == "json"


@every_workload
def test_work_in_flight_has_time_to_end(workload: Manifest) -> None:
    checked = settings(config("base"))
    grace = pod(workload)["terminationGracePeriodSeconds"]
    assert grace >= checked.drain_timeout_s + checked.provider_timeout_s + 2 * checked.commit_interval_s


@every_folder
def test_no_role_has_more_workers_than_partitions(folder: str) -> None:
    partitions = settings(config(folder)).partitions
    assert all(one["spec"]["replicas"] <= partitions for one in roles(folder))


@every_pod
def test_pods_meet_the_restricted_standard(workload: Manifest) -> None:
    pod_context, context = pod(workload)["securityContext"], container(workload)["securityContext"]
    assert pod_context["runAsNonRoot"] is True
    assert pod_context["runAsUser"] > 0
    assert pod_context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["readOnlyRootFilesystem"] is True
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod(workload).keys()
    assert all({"emptyDir", "secret"} & volume.keys() for volume in pod(workload)["volumes"])


@every_pod
def test_pods_get_no_token_of_the_cluster(workload: Manifest) -> None:
    assert pod(workload)["automountServiceAccountToken"] is False
    assert pod(workload)["enableServiceLinks"] is False


def test_every_pod_is_hardened_alike() -> None:
    """One patch serves the roles and the Jobs, another the CronJob, whose pod lies deeper."""
    common = ("serviceAccountName", "automountServiceAccountToken", "enableServiceLinks", "securityContext")
    shapes = [
        ([pod(one)[key] for key in common], [container(one)[key] for key in ("envFrom", "securityContext")])
        for one in of_kind("base", "StatefulSet", "Deployment", "Job", "CronJob")
    ]
    assert shapes == [shapes[0]] * len(shapes)


@pytest.mark.parametrize("job", [one for one in JOBS if one["kind"] == "CronJob"], ids=name)
def test_partitions_are_made_and_dropped_daily_by_one_at_a_time(job: Manifest) -> None:
    assert container(job)["args"] == ["herald", "retention"]
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    assert job["spec"]["schedule"].split()[2:] == ["*", "*", "*"]


@every_pod
def test_memory_is_bounded_and_cpu_is_not(workload: Manifest) -> None:
    resources = container(workload)["resources"]
    assert {"cpu", "memory"} <= resources["requests"].keys()
    assert resources["limits"].keys() == {"memory"}


@every_folder
def test_roles_whose_batches_grow_have_a_gibibyte_at_least(folder: str) -> None:
    """Those with tables, and the sink."""
    limits = {name(one): container(one)["resources"]["limits"]["memory"] for one in roles(folder)}
    small = {"Deployment/herald-retry", "Deployment/herald-api"}
    assert {one for one, limit in limits.items() if not limit.endswith("Gi")} == small


@every_workload
def test_probes_ask_the_paths_that_the_roles_serve(workload: Manifest) -> None:
    probes = {key: value["httpGet"] for key, value in container(workload).items() if key.endswith("Probe")}
    assert probes == {
        "startupProbe": {"path": "/health/live", "port": "http"},
        "livenessProbe": {"path": "/health/live", "port": "http"},
        "readinessProbe": {"path": "/health/ready", "port": "http"},
    }
    (port,) = container(workload)["ports"]
    assert port == {"name": "http", "containerPort": settings(config("base")).http_port}


@every_workload
def test_tables_are_kept_where_the_settings_say(workload: Manifest) -> None:
    mounts = {one["mountPath"]: one["name"] for one in container(workload)["volumeMounts"]}
    volume = mounts[str(settings(config("base")).data_dir)]
    claims = [one["metadata"]["name"] for one in workload["spec"].get("volumeClaimTemplates", [])]
    assert (volume in claims) == (workload["kind"] == "StatefulSet")


@pytest.mark.parametrize("workload", [one for one in WORKLOADS if one["kind"] == "StatefulSet"], ids=name)
def test_stateful_pods_are_static_members_under_a_service_that_is_there(workload: Manifest) -> None:
    instance = next(one for one in container(workload)["env"] if one["name"] == "HERALD_INSTANCE_ID")
    assert instance["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    assert workload["spec"]["podManagementPolicy"] == "Parallel"
    (service,) = [one for one in of_kind("base", "Service") if one["spec"].get("clusterIP") == "None"]
    assert workload["spec"]["serviceName"] == service["metadata"]["name"]
    assert service["spec"]["selector"].items() <= workload["spec"]["template"]["metadata"]["labels"].items()


def test_secrets_are_never_in_the_manifests() -> None:
    for folder in FOLDERS:
        assert not of_kind(folder, "Secret")
        assert not SECRET & config(folder).keys()
    for workload in PODS:
        assert all(environment(workload)[key] is None for key in SECRET & environment(workload).keys())


def test_the_example_has_every_secret_that_is_asked_for_and_no_other() -> None:
    example = dotenv_values(ROOT / "k8s" / "secrets.env.example")
    assert example.keys() == SECRET
    assert {key for workload in PODS for key in secret_keys(workload)} == SECRET
    settings({key: value or "" for key, value in example.items()})


@every_pod
def test_a_role_may_reach_what_it_has_the_keys_for(workload: Manifest) -> None:
    labels = pod_template(workload)["metadata"]["labels"]
    asks = set(secret_keys(workload))
    assert ("cargo-herald.org/reaches-stores" in labels) == bool(asks & {"HERALD_POSTGRES", "HERALD_REDIS"})
    sends = (environment(workload).get("HERALD_ROLE") or "").startswith("send-")
    assert ("cargo-herald.org/reaches-providers" in labels) == (sends or name(workload) == TOOLBOX)


def test_network_policies_name_labels_that_pods_have() -> None:
    pods = [pod_template(one)["metadata"]["labels"] for one in PODS]
    for policy in of_kind("base", "NetworkPolicy"):
        wanted = policy["spec"]["podSelector"]["matchLabels"]
        assert any(wanted.items() <= labels.items() for labels in pods), name(policy)


@every_folder
def test_the_toolbox_waits_without_a_pod_and_has_room_for_a_replay(folder: str) -> None:
    there = toolbox(folder)
    assert there["spec"]["replicas"] == 0
    assert container(there)["resources"]["limits"] == {"memory": "1536Mi"}
    assert container(there)["args"] == ["sleep", "infinity"]
    assert "annotations" not in pod_template(there)["metadata"]  # nothing to scrape
    assert {"HERALD_POSTGRES", "HERALD_REDIS"} == set(secret_keys(there))


def test_the_toolbox_may_ask_each_worker() -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in of_kind("base", "NetworkPolicy")}
    labels = pod_template(toolbox("base"))["metadata"]["labels"]
    (going,) = policies["herald-toolbox"]["egress"]
    (coming,) = policies["herald"]["ingress"]
    assert policies["herald-toolbox"]["podSelector"]["matchLabels"].items() <= labels.items()
    assert any(
        one.get("podSelector", {}).get("matchLabels", {}).items() <= labels.items() for one in coming["from"][1:]
    )
    for one in roles("base"):
        wanted = going["to"][0]["podSelector"]["matchLabels"]
        assert wanted.items() <= pod_template(one)["metadata"]["labels"].items()
    assert going["ports"] == coming["ports"] == [{"port": "http"}]


@every_folder
def test_every_pod_may_ask_the_dns_of_the_cluster(folder: str) -> None:
    """Kustomize adds the labels of `includeSelectors` to each matchLabels that is there, whosever pods it is about."""
    (policy,) = [one for one in of_kind(folder, "NetworkPolicy") if one["metadata"]["name"] == "herald"]
    (rule,) = [one for one in policy["spec"]["egress"] if {"port": 53, "protocol": "UDP"} in one["ports"]]
    assert rule["to"] == [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchExpressions": [{"key": "k8s-app", "operator": "In", "values": ["kube-dns"]}]},
        }
    ]
