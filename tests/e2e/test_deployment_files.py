"""Files that Docker, Compose, Swarm, Kubernetes, Prometheus and Grafana read: are they what those expect?"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from containers import ROOT, Cluster, Engine, run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

DEPLOY = ROOT / "deploy"
MANIFEST = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
KEDA = [document for document in MANIFEST if document["apiVersion"] == "keda.sh/v1alpha1"]
CORE = [document for document in MANIFEST if document not in KEDA]
#: What `breakeven secrets` makes.
SECRETS = {"signing.key", "flower.password", "redis.password", "redis.acl"}


def name_of(document: dict[str, Any]) -> str:
    return f"{document['kind']}-{document['metadata']['name']}"


def pods() -> dict[str, dict[str, Any]]:
    """Return the pod specs of the manifest, by what they run."""
    found = [document for document in CORE if "template" in document.get("spec", {})]
    return {document["metadata"]["name"]: document["spec"]["template"]["spec"] for document in found}


def promtool(*arguments: str) -> str:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: apt install prometheus)")
    return run(["promtool", *arguments]).stdout


def queries() -> dict[str, str]:
    dashboards = (DEPLOY / "grafana" / "dashboards").glob("*.json")
    panels = [panel for file in dashboards for panel in json.loads(file.read_text())["panels"]]
    return {f"{panel['title']} {t['refId']}": t["expr"] for panel in panels for t in panel["targets"]}


# --- Docker, Compose, Swarm ------------------------------------------------------------------------


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    assert run([str(hadolint), "Dockerfile"]).stdout == ""


def test_compose_reads_the_compose_file_and_nothing_has_to_be_filled_in(docker_command: Engine) -> None:
    done = Cluster(docker_command, "breakeven", {}).compose("--profile", "*", "config", "--format", "json")
    assert done.stderr == ""
    services = json.loads(done.stdout)["services"]
    assert {"redis", "worker", "flower", "producer", "prometheus", "grafana"} <= set(services)


def test_every_service_is_confined(docker_command: Engine) -> None:
    done = Cluster(docker_command, "breakeven", {}).compose("--profile", "*", "config", "--format", "json")
    for name, service in json.loads(done.stdout)["services"].items():
        assert service["read_only"], name
        assert service["init"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["logging"]["options"]["max-size"], name
        assert {port["host_ip"] for port in service.get("ports", [])} <= {"127.0.0.1"}, name
        assert ":latest" not in service["image"], name


def test_images_are_named_by_a_tag(docker_command: Engine) -> None:
    done = Cluster(docker_command, "breakeven", {}).compose("--profile", "*", "config", "--images")
    others = set(done.stdout.split()) - {"breakeven", "breakeven:e2e"}
    assert others
    assert all(re.fullmatch(r"[a-z/]+:v?[0-9.]+", image) for image in others), others


def test_the_swarm_rendering_is_a_stack(docker_command: Engine) -> None:
    stack = render_stack(docker_command)
    checked = docker_command.docker("stack", "config", "--compose-file", "-", text=stack)
    services = yaml.safe_load(checked)["services"]
    assert set(services) == {"redis", "worker", "flower"}
    assert all("ports" not in service for service in services.values())


def render_stack(engine: Engine) -> str:
    """Render compose.yaml and deploy/swarm.yaml as docs/cluster.md says."""
    both = Cluster(engine, "breakeven", {}, files=("compose.yaml", "deploy/swarm.yaml"))
    return re.sub(r"(?m)^name:.*\n", "", both.compose("config").stdout)


# --- Kubernetes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", CORE, ids=name_of)
def test_kubernetes_knows_every_field(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_keda_scales_the_workers_by_the_queue() -> None:
    # Its kinds are not Kubernetes' own, so their schema is not at hand: what KEDA's reference demands.
    by_kind = {document["kind"]: document for document in KEDA}
    assert set(by_kind) == {"ScaledObject", "TriggerAuthentication"}
    scaled = by_kind["ScaledObject"]["spec"]
    assert set(scaled) <= {
        *("scaleTargetRef", "triggers", "minReplicaCount", "maxReplicaCount", "idleReplicaCount"),
        *("pollingInterval", "cooldownPeriod", "initialCooldownPeriod", "fallback", "advanced"),
    }
    assert f"Deployment-{scaled['scaleTargetRef']['name']}" in map(name_of, CORE)
    assert 0 < scaled["minReplicaCount"] < scaled["maxReplicaCount"]
    (trigger,) = scaled["triggers"]
    assert trigger["type"] == "redis"
    metadata = trigger["metadata"]
    assert set(metadata) == {"address", "username", "databaseIndex", "listName", "listLength"}
    assert all(isinstance(value, str) for value in metadata.values())
    assert metadata["listName"] == "breakeven"  # BREAKEVEN_QUEUE's default
    host, port = metadata["address"].split(":")
    (service,) = [d for d in CORE if name_of(d) == f"Service-{host.split('.')[0]}"]
    assert [one["port"] for one in service["spec"]["ports"]] == [int(port)]
    authentication = by_kind["TriggerAuthentication"]
    assert trigger["authenticationRef"] == {"name": authentication["metadata"]["name"]}
    (reference,) = authentication["spec"]["secretTargetRef"]
    assert reference == {"parameter": "password", "name": "breakeven", "key": "redis.password"}


@pytest.mark.parametrize("name", pods())
def test_every_pod_is_confined(name: str) -> None:
    pod = pods()[name]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", sorted(set(pods()) - {"producer"}))
def test_every_pod_that_stays_is_probed(name: str) -> None:
    for container in pods()[name]["containers"]:
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)


def test_pods_ask_for_secrets_that_are_made() -> None:
    for pod in pods().values():
        for volume in pod["volumes"]:
            if "secret" in volume:
                assert volume["secret"]["secretName"] == "breakeven"
                assert {item["key"] for item in volume["secret"].get("items", [])} <= SECRETS


def test_network_policies_deny_everything_first_and_then_name_pods_that_exist() -> None:
    policies = {d["metadata"]["name"]: d["spec"] for d in CORE if d["kind"] == "NetworkPolicy"}
    assert policies.pop("deny-all") == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    named = set(re.findall(r"'app': '(\w+)'", str(policies)))
    for values in re.findall(r"'values': \[(.*?)\]", str(policies)):
        named |= set(re.findall(r"\w+", values))
    assert named == set(pods())


# --- monitoring ------------------------------------------------------------------------------------


def test_promtool_accepts_the_prometheus_configuration() -> None:
    assert "SUCCESS" in promtool("check", "config", str(DEPLOY / "prometheus.yml"))


def test_every_query_of_the_dashboards_parses(tmp_path: Path) -> None:
    assert len(queries()) >= 4
    rules = [{"record": f"q:{number}", "expr": query} for number, query in enumerate(queries().values())]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", str(file))


def test_the_dashboards_use_the_data_source_that_is_provisioned() -> None:
    provisioned = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text())
    known = {source["uid"] for source in provisioned["datasources"]}
    text = (DEPLOY / "grafana/dashboards/breakeven.json").read_text()
    assert {panel["datasource"]["uid"] for panel in json.loads(text)["panels"]} <= known


# --- secrets ---------------------------------------------------------------------------------------


def test_no_secret_is_in_the_repository() -> None:
    # What a key, a password in an address or in a setting looks like, in any file that is kept.
    secret = re.compile(
        r"-----BEGIN [A-Z ]*PRIVATE KEY|\w+://[\w-]*:(?!\{|\$|\*|\.|<|[\w-]*PASSWORD|secret@)[\w-]{6,}@"
        r"|(?i:password|secret|token)\"?\s*[:=]\s*[\"'][A-Za-z0-9+/_-]{12,}[\"']"
    )
    files = run(["git", "ls-files", "-z"]).stdout.split("\0")
    found = []
    for file in filter(None, files):
        path = ROOT / file
        if path.suffix in {".lock", ".png"} or not path.is_file():
            continue
        found += [f"{file}: {match[0]}" for match in secret.finditer(path.read_text(errors="replace"))]
    assert not found
