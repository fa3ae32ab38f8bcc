"""Flower: what a person sees there, in a real browser, and what its API tells."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from browse_flower import BROWSERS
from containers import Cluster, Engine, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def api(engine: Engine, address: str, user: str, path: str) -> Any:
    status, body = engine.get(f"{address}/api/{path}", user=user)
    assert status == 200, body
    return json.loads(body)


@pytest.fixture(scope="module")
def compared(cluster: Cluster) -> str:
    """What the producer said when it compared, so that there are tasks to be seen."""
    names = "sequential,broker-queue,broker-queue-batched"
    done = cluster.producer("compare", "noop", "--quick", "--tasks", "50", "--rounds", "1", "--models", names)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def link(compared: str, flower_address: str) -> str:
    """The link to its own tasks that the producer prints; empty without one."""
    words = [word.strip("().,") for word in compared.split() if word.startswith(flower_address)]
    return words[0] if words else ""


@pytest.fixture(scope="module")
def seen(cluster: Cluster, link: str, flower_address: str, flower_user: str) -> dict[str, Any]:
    """What a browser shows."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("there is no Chromium (Debian: apt install chromium)")
    script = Path(__file__).with_name("browse_flower.py")
    env = {"FLOWER": flower_address, "FLOWER_USER": flower_user, "CHROMIUM": browser}
    return dict(json.loads(cluster.engine.reach(sys.executable, str(script), link, env=env).stdout))


@pytest.mark.parametrize("page", ["/", "/tasks", "/broker", "/api/tasks", "/api/workers"])
def test_a_stranger_sees_nothing(cluster: Cluster, flower_address: str, page: str) -> None:
    assert cluster.engine.get(flower_address + page)[0] == 401
    assert cluster.engine.get(flower_address + page, user="breakeven:guess")[0] == 401


def test_the_pages_show_workers_online_and_tasks_succeeded(seen: dict[str, Any]) -> None:
    assert seen["workers online"] == 1
    # Those of other tests, which are gone, may be there as offline.
    assert [worker["Status"] for worker in seen["workers"]].count("Online") == 1
    assert seen["tasks"]
    assert {task["State"].upper() for task in seen["tasks"]} <= {"SUCCESS", "SUCCEEDED"}


def test_tasks_read_well(seen: dict[str, Any]) -> None:
    # What is called, as source text or as a number of calls; never a pickle, nor what wraps the calls.
    assert [task["args"] for task in seen["tasks"] if not re.search(r"\b(noop|sleep)\b", task["args"])] == []
    text = json.dumps(seen["tasks"]) + seen["task"]
    assert "\\x" not in text
    assert "b'" not in text


def test_the_producer_s_link_shows_its_own_tasks(seen: dict[str, Any], link: str, compared: str) -> None:
    assert link, compared
    assert seen["linked tasks"]


def test_the_pages_work_without_any_other_host(seen: dict[str, Any], flower_address: str) -> None:
    assert seen["problems"] == []
    assert seen["hosts"] == [flower_address]


def test_the_api_tells_the_same(
    cluster: Cluster, compared: str, flower_address: str, flower_user: str
) -> None:
    engine = cluster.engine
    workers = api(engine, flower_address, flower_user, "workers?status=1")
    assert list(workers.values()).count(True) == 1

    def states() -> set[str]:
        # Of this module's own tasks: an event that was sent while the broker was away is lost to Flower.
        tasks = api(engine, flower_address, flower_user, "tasks?limit=1000").values()
        return {task["state"] for task in tasks if "noop" in (task["args"] or "")}

    wait_until(lambda: states() == {"SUCCESS"}, seconds=20, what="all tasks succeeded")


def test_it_asked_the_workers_what_they_are(cluster: Cluster, flower_address: str, flower_user: str) -> None:
    (worker,) = api(cluster.engine, flower_address, flower_user, "workers").values()
    assert "run_calls" in str(worker["registered"])
    assert worker["stats"]["pool"]["max-concurrency"] == 1


def test_its_password_is_shown_once_and_its_memory_lasts(
    cluster: Cluster, compared: str, flower_address: str, flower_user: str
) -> None:
    known = api(cluster.engine, flower_address, flower_user, "tasks?limit=10")
    cluster.compose("restart", "flower")
    cluster.up("--no-recreate", "flower")
    after = api(cluster.engine, flower_address, flower_user, "tasks?limit=1000")
    assert set(known) <= set(after)
    assert cluster.log("flower").count(flower_user.partition(":")[2]) == 1
