"""What the containers may do, what can be reached from where, and what is kept secret."""

from __future__ import annotations

import base64
import json

import pytest
from containers import IMAGE, Cluster, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

RUNNING = ("redis", "worker", "flower")
#: Runs as root, with one capability, to open the report folder to the producer; then it is gone.
AS_ROOT = {"report-folder"}


@pytest.mark.parametrize("service", RUNNING)
def test_a_container_can_t_write_gain_rights_or_be_root(cluster: Cluster, service: str) -> None:
    script = (
        "id -u; grep -E '^(CapEff|CapBnd|NoNewPrivs):' /proc/self/status; touch /x 2>&1; cat /proc/1/comm"
    )
    words = cluster.compose("exec", "-T", service, "sh", "-c", script).stdout
    uid, *rest = words.splitlines()
    assert int(uid) > 0
    told = " ".join(rest).split()
    assert int(told[told.index("CapEff:") + 1], 16) == int(told[told.index("CapBnd:") + 1], 16) == 0
    assert told[told.index("NoNewPrivs:") + 1] == "1"
    assert "Read-only file system" in words
    assert "init" in told[-1]


def test_every_container_is_confined(cluster: Cluster) -> None:
    for container in cluster.containers():
        name = container["Config"]["Labels"]["com.docker.compose.service"]
        host = container["HostConfig"]
        assert host["ReadonlyRootfs"], name
        assert host["Init"], name
        assert host["CapDrop"] == ["ALL"], name
        assert host["SecurityOpt"] == ["no-new-privileges:true"], name
        assert not host["Privileged"], name
        if name not in AS_ROOT:
            assert container["Config"]["User"] not in {"", "root", "0", "0:0"}, name


def test_a_published_port_answers_on_loopback_only(cluster: Cluster, flower_address: str) -> None:
    engine = cluster.engine
    status, _ = engine.get(flower_address + "/healthcheck")
    assert status == 200
    (network,) = json.loads(engine.docker("network", "inspect", f"{cluster.project}_published"))
    gateway = network["IPAM"]["Config"][0]["Gateway"]  # an address of this machine, and not loopback
    status, why = engine.get(flower_address.replace("127.0.0.1", gateway) + "/healthcheck")
    assert status == 0, why
    assert "refused" in why


def test_the_broker_is_not_published(cluster: Cluster) -> None:
    for service in ("redis", "worker"):
        for container in cluster.containers(service):
            assert not any(container["NetworkSettings"]["Ports"].values())
    (network,) = json.loads(cluster.engine.docker("network", "inspect", f"{cluster.project}_cluster"))
    assert network["Internal"]


def redis_cli(cluster: Cluster, *words: str, password: str = "") -> str:
    login = ["-e", f"REDISCLI_AUTH={password}"] if password else []
    user = ["--user", "breakeven"] if password else []
    command = ("exec", "-T", *login, "redis", "redis-cli", *user, *words)
    return cluster.compose(*command, check=False).stdout


def secrets_of(cluster: Cluster) -> dict[str, bytes]:
    script = "cd /run/breakeven; for name in *.key *.password; do echo $name $(base64 -w0 $name); done"
    lines = cluster.compose("exec", "-T", "worker", "sh", "-c", script).stdout.splitlines()
    return {name: base64.b64decode(code) for name, code in (line.split() for line in lines)}


def test_the_broker_s_health_is_all_that_strangers_learn(cluster: Cluster) -> None:
    assert redis_cli(cluster, "ping").strip() == "PONG"
    for command in (("get", "x"), ("info",), ("llen", "breakeven"), ("config", "get", "*")):
        assert "NOPERM" in redis_cli(cluster, *command)


def test_the_broker_keeps_all_it_has_taken(cluster: Cluster) -> None:
    password = secrets_of(cluster)["redis.password"].decode()
    told = redis_cli(cluster, "info", password=password)
    facts = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
    assert facts["maxmemory_policy"] == "noeviction"
    assert int(facts["maxmemory"]) == 256 * 2**20
    assert facts["aof_enabled"] == "1"
    (redis,) = cluster.containers("redis")
    assert {mount["Name"] for mount in redis["Mounts"] if mount["Destination"] == "/data"} == {
        f"{cluster.project}_redis"
    }
    assert "NOPERM" in redis_cli(cluster, "flushall", password=password)


def test_secrets_are_nowhere_to_be_seen(cluster: Cluster) -> None:
    engine = cluster.engine
    secrets = secrets_of(cluster)
    assert set(secrets) == {"signing.key", "redis.password", "flower.password"}
    containers = cluster.containers()
    seen = {"docker inspect": json.dumps(containers)}
    seen["docker history"] = engine.docker("history", "--no-trunc", IMAGE)
    for container in containers:
        if container["State"]["Running"]:
            seen[f"ps {container['Name']}"] = engine.docker("top", container["Id"], "-eo", "pid,args")
    for service in (*RUNNING, "secrets"):
        seen[f"log of {service}"] = cluster.log(service)
    for place, text in seen.items():
        for name, secret in secrets.items():
            if (place, name) == ("log of flower", "flower.password"):
                continue  # shown there, once: see below
            forms = {secret.hex(), base64.b64encode(secret).decode()}
            if name != "signing.key":
                forms.add(secret.decode())
            assert not [form for form in forms if form in text], f"{name} in {place}"


def test_secrets_are_for_the_containers_user_alone(cluster: Cluster) -> None:
    script = "stat -c '%a %u %n' /run/breakeven/*.key /run/breakeven/*.password"
    for line in cluster.compose("exec", "-T", "worker", "sh", "-c", script).stdout.splitlines():
        assert line.startswith("600 10001 "), line
    denied = cluster.compose("exec", "-T", "redis", "cat", "/run/breakeven/signing.key", check=False)
    assert denied.returncode != 0
    assert "Permission denied" in denied.stderr


def test_secrets_stay_the_same_from_start_to_start(cluster: Cluster) -> None:
    before = secrets_of(cluster)
    cluster.compose("run", "--rm", "-T", "secrets")
    assert secrets_of(cluster) == before


def test_a_worker_that_does_not_beat_is_not_healthy(cluster: Cluster) -> None:
    def healthy() -> bool:
        # What the health check does, with less patience.
        done = cluster.compose("exec", "-T", "worker", "breakeven", "healthy", "4", check=False)
        return done.returncode == 0

    def send(what: str) -> None:
        script = f"import psutil; psutil.Process(1).children()[0].{what}()"
        cluster.compose("exec", "-T", "worker", "python", "-c", script)

    wait_until(healthy, seconds=10, what="a heartbeat")
    send("suspend")
    try:
        wait_until(lambda: not healthy(), seconds=20, what="a heartbeat file older than 4 s")
    finally:
        send("resume")
    wait_until(healthy, seconds=20, what="a new heartbeat")
