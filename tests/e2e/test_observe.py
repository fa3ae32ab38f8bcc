"""The profile `observe`: a real Prometheus finds its targets, and every query of the dashboard finds data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from containers import Cluster, wait_until
from test_deployment_files import queries

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def observed(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster with Prometheus: this machine's program, with this project's service and settings."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed (Debian: apt install prometheus)")
    settings = {**cluster.settings, "PROMETHEUS": program, "COMPOSE_PROFILES": "observe"}
    with_prometheus = replace(cluster, settings=settings, files=("compose.yaml", "tests/e2e/observe.yaml"))
    try:
        with_prometheus.up("--no-recreate", "prometheus")
        yield with_prometheus
    finally:
        with_prometheus.compose("rm", "--force", "--stop", "prometheus", "queue-metrics")


def ask(cluster: Cluster, path: str) -> Any:
    status, body = cluster.engine.get(f"http://127.0.0.1:{cluster.settings['PROMETHEUS_PORT']}/api/v1/{path}")
    return json.loads(body)["data"] if status == 200 else None


def test_every_target_is_up(observed: Cluster) -> None:
    def states() -> dict[str, str]:
        targets = (ask(observed, "targets") or {}).get("activeTargets", [])
        return {target["labels"]["job"]: target["health"] for target in targets}

    wait_until(lambda: states() == {"flower": "up", "queue": "up"}, seconds=40, what="both targets up")


def test_every_query_of_the_dashboards_finds_data(observed: Cluster) -> None:
    words = ("compare", "sleep", "--tasks", "100", "--rounds", "3", "--models", "broker-queue")
    observed.producer(*words, timeout=120)  # something to be seen, for longer than a few scrapes

    def silent() -> list[str]:
        found = {title: ask(observed, f"query?query={quote(query)}") for title, query in queries().items()}
        return [title for title, data in found.items() if not data or not data["result"]]

    wait_until(lambda: not silent(), seconds=40, what="data for each query of the dashboard")
