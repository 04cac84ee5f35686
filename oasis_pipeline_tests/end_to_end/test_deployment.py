"""The processes of ``docker/compose.yaml``, started without containers from the very files that the image gets.

Commands, environment, secrets, health checks and configuration are read from ``docker/``; only folders, host names and ports are
this machine's. The database is a PostgreSQL reached over TCP with a password, by roles that are no superusers.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import psycopg2
import pytest
import yaml

from oasis_pipeline.automation.instance import configuration
from oasis_pipeline.home import is_over
from oasis_pipeline.settings import load_settings
from oasis_pipeline.storage import embedded
from oasis_pipeline_tests.fixtures.platform import command_line, kill_tree, tree

PROGRAMS = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
DOCKER = Path(__file__).resolve().parents[2] / "docker"
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text())
PASSWORD = "p@ss/w:rd #%41?"
"""Of the platform's role; the other secrets are those that ``secrets.sh`` makes."""
OF_PEOPLE = "correct-horse-9"
PORTS = ("80", "443", "3000", "4000", "8000", "8080")
needs_caddy = pytest.mark.skipif(shutil.which("caddy", path=PROGRAMS) is None, reason="no caddy")
SECONDS = 150
"""Patience with a busy machine; nothing is waited for longer than it takes."""

pytestmark = pytest.mark.server


def interpolated(value: Any, variables: Mapping[str, str]) -> Any:
    """As compose does it: ``${NAME:-default}``, ``${NAME-default}``, ``${NAME:?message}`` and ``$$``."""
    if isinstance(value, dict):
        return {name: interpolated(item, variables) for name, item in value.items()}
    if isinstance(value, list):
        return [interpolated(item, variables) for item in value]
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        if match["name"] is None:
            return "$"
        return variables.get(match["name"]) or (
            variables[match["name"]] if match["sign"] == ":?" else match["rest"]
        )

    return re.sub(r"\$\$|\$\{(?P<name>\w+)(?:(?P<sign>:-|-|:\?)(?P<rest>[^}]*))?\}", fill, value)


def image_environment() -> dict[str, str]:
    """Variables that the image sets."""
    final = (DOCKER / "Dockerfile").read_text().rsplit("\nFROM ", 1)[1].replace("\\\n", " ")
    lines = re.findall(r"^ENV (.*)$", final, re.MULTILINE)
    return dict(pair.split("=", 1) for line in lines for pair in line.split())


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Site:
    """One host of the compose file, without its containers."""

    folder: Path
    postgres_port: int
    ports: dict[str, int] = field(default_factory=lambda: {port: free_port() for port in PORTS})
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def localised(self, text: str) -> str:
        """Put this machine's folders, ports and address in the place of the containers'."""
        for there, here in {
            "/var/lib/oasis": self.folder / "home",
            "/exchange": self.folder / "exchange",
            "/opt/oasis": self.folder / "instance",
            "/run/secrets": self.folder / "secrets",
            "/etc/caddy/Caddyfile": self.folder / "Caddyfile",
        }.items():
            text = text.replace(there, str(here))
        text = re.sub(r"0\.0\.0\.0|\b(data|web|grafana)\b(?=:\d)", "127.0.0.1", text)
        return re.sub(r"(?<!\w)(3000|4000|8000|8080)\b", lambda match: str(self.ports[match[0]]), text)

    def service(self, name: str) -> dict[str, Any]:
        variables = {
            "OASIS_SITE": "localhost",
            "OASIS_HOST": "127.0.0.1",
            "OASIS_PORT": str(self.postgres_port),
        }
        service: dict[str, Any] = interpolated(COMPOSE["services"][name], variables)
        return service

    def environment(self, name: str) -> dict[str, str]:
        kept = {key: os.environ[key] for key in ("LANG", "TMPDIR", "PYTHONPATH") if key in os.environ}
        given = {**image_environment(), **self.service(name)["environment"]}
        local = {key: self.localised(str(value)) for key, value in given.items()}
        local["PATH"] = PROGRAMS
        # compiled solvers: those of this checkout, which the suite has made already
        local.pop("NUMBA_CACHE_DIR")
        return {**kept, **local, "OASIS_CODE_HOST": "127.0.0.1", "HOME": str(self.folder)}

    def command(self, name: str) -> list[str]:
        command = [self.localised(part) for part in self.service(name)["command"]]
        # of the image's coreutils; a Mac has none
        return command[3:] if command[0] == "timeout" and shutil.which("timeout") is None else command

    def start(self, name: str, log: str | None = None) -> subprocess.Popen[bytes]:
        with (self.folder / f"{log or name}.log").open("ab") as out:
            self.processes[log or name] = subprocess.Popen(
                self.command(name),
                cwd=self.folder / "instance",
                env=self.environment(name),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self.processes[log or name]

    def healthy(self, name: str) -> bool:
        """Run the service's own health check once."""
        kind, *command = self.service(name)["healthcheck"]["test"]
        assert kind == "CMD"
        done = subprocess.run(
            [self.localised(part) for part in command],
            cwd=self.folder / "instance",
            env=self.environment(name),
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def wait(self, what: Callable[[], Any], *needed: str) -> Any:
        """Wait until something is true; an end of a process that is needed for it ends the wait."""
        end = time.monotonic() + SECONDS
        while not (found := what()):
            for name in needed:
                assert self.processes[name].poll() is None, self.log(name)[-3000:]
            assert time.monotonic() < end, "\n".join(self.log(name)[-2000:] for name in needed)
            time.sleep(0.5)
        return found

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Ask the web server by GraphQL, past the proxy."""
        log_in = base64.b64encode(f"root:{OF_PEOPLE}".encode()).decode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports['3000']}/dagster/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json", "Authorization": f"Basic {log_in}"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    def secret(self, name: str) -> str:
        return (self.folder / "secrets" / name).read_text().rstrip()

    def listens(self, port: str) -> bool:
        with closing(socket.socket()) as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.ports[port])) == 0

    def kill(self) -> None:
        for process in self.processes.values():
            kill_tree(process)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``secrets.sh`` makes."""
    folder = tmp_path_factory.mktemp("made") / "secrets"
    folder.mkdir()
    (folder / "oasis_pass").write_text(PASSWORD + "\n")
    for _ in range(2):
        subprocess.run(["sh", str(DOCKER / "secrets.sh"), str(folder)], check=True)
    return folder


@pytest.fixture(scope="module")
def postgres_port(server_folder_of_module: Path, secrets: Path) -> Iterator[int]:
    """A PostgreSQL on 127.0.0.1 with an administrator and nothing else."""
    data = server_folder_of_module / "postgres"
    port = free_port()
    address = embedded.start(data)
    try:
        with closing(psycopg2.connect(address.uri())) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(
                "ALTER ROLE postgres LOGIN PASSWORD %s", ((secrets / "admin_pass").read_text().strip(),)
            )
        embedded.stop(data)
        with (data / "postgresql.conf").open("a") as conf:
            conf.write(f"listen_addresses = '127.0.0.1'\nport = {port}\nfsync = off\n")
        (data / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        embedded.start(data)
        yield port
    finally:
        embedded.stop(data)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, postgres_port: int, secrets: Path) -> Iterator[Site]:
    """All services up, in the order of the compose file's conditions."""
    site = Site(tmp_path_factory.mktemp("host"), postgres_port)
    (site.folder / "instance").mkdir()
    shutil.copytree(secrets, site.folder / "secrets")
    # this machine's ports, and no address that others reach
    caddyfile = site.localised((DOCKER / "Caddyfile").read_text()).replace(
        "\tadmin off\n",
        f"\tadmin off\n\tdefault_bind 127.0.0.1\n\thttp_port {site.ports['80']}\n\thttps_port {site.ports['443']}\n"
        f"\tstorage file_system {site.folder / 'caddy'}\n",
    )
    (site.folder / "Caddyfile").write_text(caddyfile)
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(DOCKER / name, site.folder / "instance" / name)
    try:
        # two hosts that start at the same moment
        inits = [site.start("init", log) for log in ("init", "second_init")]
        for process, log in zip(inits, ("init", "second_init"), strict=True):
            assert process.wait(SECONDS) == 0, site.log(log)[-3000:]
        site.start("code")
        site.wait(lambda: site.listens("4000"), "code")
        site.wait(lambda: site.healthy("code"), "code")
        site.start("web")
        site.start("daemon")
        site.start("data")
        site.wait(lambda: site.listens("3000"), "web", "daemon", "code", "data")
        site.wait(lambda: site.healthy("data"), "data")
        make_users(site)
        if shutil.which("caddy", path=PROGRAMS):
            site.start("proxy")
            # it listens before it has a certificate
            site.wait(lambda: speaks_tls(site), "proxy")
        yield site
    finally:
        site.kill()


def speaks_tls(site: Site) -> bool:
    try:
        with closing(
            http.client.HTTPSConnection("localhost", site.ports["443"], context=trusting(site))
        ) as proxy:
            proxy.connect()
    except OSError:
        return False
    return True


def trusting(site: Site) -> ssl.SSLContext:
    """Trusts the proxy's authority alone."""
    return ssl.create_default_context(cafile=str(site.folder / "caddy/pki/authorities/local/root.crt"))


def make_users(site: Site) -> None:
    """``root``, in the container of the data service, as docs/deployment.md says."""
    subprocess.run(
        ["oasis", "createsuperuser", "--username=root", "--email=r@x.org", "--noinput"],
        env={**site.environment("data"), "DJANGO_SUPERUSER_PASSWORD": OF_PEOPLE},
        check=True,
        capture_output=True,
    )


class Browser:
    """Asks the proxy by TLS, trusts its authority alone, and keeps cookies."""

    def __init__(self, site: Site) -> None:
        self.port = site.ports["443"]
        self.context = trusting(site)
        self.cookies: dict[str, str] = {}

    def ask(self, path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=60, context=self.context)
        with closing(connection):
            sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
            sent |= {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request("GET" if body is None else "POST", path, body, sent)
            answer = connection.getresponse()
            for cookie in answer.headers.get_all("Set-Cookie") or ():
                assert "Secure" in cookie or "Max-Age=0" in cookie
                name, _, value = cookie.partition(";")[0].partition("=")
                self.cookies[name] = value
            return answer.status, dict(answer.headers.items()), answer.read().decode()

    def log_in(self, name: str, password: str) -> str:
        """Log in by the page; where it leads then."""
        self.ask("/login/")
        form = {"username": name, "password": password, "csrfmiddlewaretoken": self.cookies["csrftoken"]}
        status, headers, _ = self.ask(
            "/login/?next=/dagster/runs",
            urllib.parse.urlencode(form).encode(),
            Content_Type="application/x-www-form-urlencoded",
            Origin=f"https://localhost:{self.port}",
        )
        assert status == 302
        return headers["Location"]


QUERY = b'{"query": "{ version }"}'
PAGE = {"Accept": "text/html"}
JSON = {"Content_Type": "application/json"}


@needs_caddy
def test_the_proxy_shows_dagsters_pages_to_whoever_has_logged_in_and_may(site: Site) -> None:
    browser = Browser(site)
    here = f"https://localhost:{browser.port}"
    status, headers, _ = browser.ask("/dagster/runs?x=1", **PAGE)
    assert (status, headers["Location"]) == (302, "/login/?next=%2Fdagster%2Fruns%3Fx%3D1")
    assert browser.ask("/dagster/graphql", QUERY, **JSON)[0] == 401
    assert browser.ask("/dagster", **PAGE)[0] == 302
    browser.cookies["sessionid"] = "x" * 32
    assert browser.ask("/dagster/graphql", QUERY, **JSON)[0] == 401
    assert browser.log_in("root", OF_PEOPLE) == "/dagster/runs"
    status, _, page = browser.ask("/dagster/runs", **PAGE)
    assert status == 200
    assert '"assetPrefix":"/dagster"' in page
    status, _, answer = browser.ask("/dagster/graphql", QUERY, **JSON, Origin=here)
    assert (status, set(json.loads(answer)["data"])) == (200, {"version"})
    # with the cookie, but from a page elsewhere, or as an address that somebody follows
    assert browser.ask("/dagster/graphql", QUERY, **JSON, Origin="https://evil.example")[0] == 403
    assert browser.ask("/dagster/graphql?query={version}")[0] == 405
    # a web socket, over which Dagster's pages are told of what happens
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13",
               "Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec_WebSocket_Protocol": "graphql-ws"}  # fmt: skip
    assert browser.ask("/dagster/graphql", **upgrade, Origin=here)[0] == 101
    assert Browser(site).ask("/dagster/graphql", **upgrade, Origin=here)[0] == 401
    # the pages of the data service, by the same log-in
    assert browser.ask("/api/userprofile/")[0] == 200
    assert browser.ask("/logout/", b"csrfmiddlewaretoken=" + browser.cookies["csrftoken"].encode(),
                       Content_Type="application/x-www-form-urlencoded", Origin=here)[0] == 302  # fmt: skip
    time.sleep(1.1)  # what the database says is believed for a second
    assert browser.ask("/dagster/graphql", QUERY, **JSON)[0] == 401


@needs_caddy
def test_the_proxy_answers_by_its_own_name_only_and_leads_to_tls(site: Site) -> None:
    browser = Browser(site)
    assert browser.ask("/ready", Host="evil.example")[0] == 421
    assert browser.ask("/ready")[0] == 200
    connection = http.client.HTTPConnection("127.0.0.1", site.ports["80"], timeout=60)
    with closing(connection):
        connection.request("GET", "/ready", headers={"Host": "localhost"})
        answer = connection.getresponse()
        assert answer.status == 308
        assert answer.headers["Location"].startswith("https://localhost")
    with (
        closing(socket.create_connection(("127.0.0.1", browser.port), timeout=60)) as plain,
        pytest.raises(ssl.SSLError),
    ):
        browser.context.wrap_socket(plain, server_hostname="evil.example")


def test_no_role_of_the_platform_is_a_superuser(site: Site) -> None:
    with (
        closing(
            psycopg2.connect(
                host="127.0.0.1", port=site.postgres_port, user="oasis", password=PASSWORD, dbname="oasis"
            )
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT rolname, rolsuper FROM pg_roles WHERE rolname LIKE 'oasis%' ORDER BY 1")
        assert cursor.fetchall() == [
            ("oasis", False),
            ("oasis_dagster", False),
            ("oasis_reader", False),
            ("oasis_service", False),
        ]


def test_graphql_shows_the_graph_of_the_code_server(site: Site) -> None:
    answer = site.ask(
        "{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus locationOrLoadError {"
        " __typename ... on PythonError { message } } } } }"
        " assetNodes { assetKey { path } } }"
    )
    assert answer["workspaceOrError"]["locationEntries"] == [
        {
            "name": "oasis_pipeline",
            "loadStatus": "LOADED",
            "locationOrLoadError": {"__typename": "RepositoryLocation"},
        }
    ]
    keys = {"/".join(node["assetKey"]["path"]) for node in answer["assetNodes"]}
    assert {"xspoc/card", "xspoc/merged", "clean/xspoc", "clean/dynapred"} <= keys


def test_an_asset_is_made_by_a_run_started_over_graphql(site: Site) -> None:
    # a dbt model: the one thing that finds its way to the database by itself
    asset = {"path": ["xspoc", "card_xdiag"]}
    launched = site.ask(
        'mutation($asset: AssetKeyInput!) { launchRun(executionParams: { mode: "default", selector: {'
        ' repositoryLocationName: "oasis_pipeline", repositoryName: "__repository__", jobName: "__ASSET_JOB",'
        " assetSelection: [$asset] } }) { __typename ... on LaunchRunSuccess { run { runId } }"
        " ... on PythonError { message } ... on RunConfigValidationInvalid { errors { message } } } }",
        asset=asset,
    )["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run = launched["run"]["runId"]

    def finished() -> str | None:
        state = site.ask("query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }", id=run)[
            "runOrError"
        ]["status"]
        return state if state in ("SUCCESS", "FAILURE", "CANCELED") else None

    assert site.wait(finished, "code", "web", "daemon") == "SUCCESS", site.log("code")[-3000:]
    made = site.ask(
        "query($asset: AssetKeyInput!) { assetOrError(assetKey: $asset) { ... on Asset {"
        " assetMaterializations(limit: 5) { runId } } } }",
        asset=asset,
    )["assetOrError"]["assetMaterializations"]
    assert {"runId": run} in made, "the sensors may have made it too"


def test_dagster_keeps_its_tables_in_the_schema_of_the_platforms_database(site: Site) -> None:
    with (
        closing(
            psycopg2.connect(
                host="127.0.0.1", port=site.postgres_port, user="oasis", password=PASSWORD, dbname="oasis"
            )
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "SELECT schemaname FROM pg_tables WHERE tablename IN ('runs', 'event_logs', 'instigators')"
        )
        assert [row[0] for row in cursor.fetchall()] == ["dagster"] * 3
        cursor.execute("SELECT count(*) FROM oasis.schema_version")
        assert cursor.fetchone() == (1,), "two that start at once are one migration"


def test_every_daemon_reports_and_every_health_check_passes(site: Site) -> None:
    query = "{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"

    def required() -> dict[str, bool]:
        states = site.ask(query)["instance"]["daemonHealth"]["allDaemonStatuses"]
        return {state["daemonType"]: state["healthy"] for state in states if state["required"]}

    site.wait(lambda: all(required().values()), "daemon", "code")
    assert {"SENSOR", "SCHEDULER", "QUEUED_RUN_COORDINATOR", "MONITORING"} <= required().keys()
    assert {name: site.healthy(name) for name in ("code", "web", "daemon", "data")} == {
        "code": True,
        "web": True,
        "daemon": True,
        "data": True,
    }


def test_no_secret_shows(site: Site) -> None:
    shown = site.ask("{ instance { info } }")["instance"]["info"]
    logs = {path.name: path.read_text(errors="replace") for path in site.folder.glob("*.log")}
    kept = {
        str(path.relative_to(site.folder)): path.read_text(errors="replace")
        for top in ("instance", "home")
        for path in (site.folder / top).rglob("*")
        if path.is_file() and path.stat().st_size < 5_000_000
    }
    made = [site.secret(name) for name in ("admin_pass", "service_pass", "dagster_pass", "reader_pass")]
    for process in (tree(site.processes[name]) for name in ("code", "web", "daemon", "data")):
        for each in process:
            given = "\n".join(f"{name}={value}" for name, value in each.environ().items())
            assert not [secret for secret in (PASSWORD, *made) if secret in given], command_line(each)
    assert {"code.log", "web.log", "daemon.log", "data.log"} <= logs.keys()
    quoted = PASSWORD.replace("@", "%40")[:8]
    assert not [
        name
        for name, text in {"info": shown, **logs, **kept}.items()
        if any(secret in text for secret in (PASSWORD, quoted, *made))
    ]


def test_everything_stops_when_asked(site: Site) -> None:
    names = ("web", "daemon", "code", "data")
    everything = [process for name in names for process in tree(site.processes[name])]
    assert len(everything) >= 3
    for name in names:
        # to the first process of the container only, as `docker stop` does
        site.processes[name].send_signal(signal.SIGTERM)
    for name in names:
        site.processes[name].wait(60)
    _, left = psutil.wait_procs(everything, timeout=20)
    assert [command_line(process) for process in left if not is_over(process)] == []


SLOW_SENSOR = """
import time
import dagster as dg

@dg.op
def nothing(): ...

@dg.job
def job(): nothing()

@dg.sensor(job=job)
def slow(context):
    print("evaluating", flush=True)
    time.sleep(150)
    return dg.SkipReason("so slow")

defs = dg.Definitions(jobs=[job], sensors=[slow])
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("timeout") is None, reason="no coreutils")
def test_a_code_server_ends_though_a_sensor_is_under_way(tmp_path: Path, server_folder: Path) -> None:
    socket_path, log = server_folder / "code", tmp_path / "code.log"
    (tmp_path / "slow_sensor.py").write_text(SLOW_SENSOR)
    (tmp_path / "workspace.yaml").write_text(
        yaml.safe_dump(
            {"load_from": [{"grpc_server": {"socket": str(socket_path), "location_name": "slow"}}]}
        )
    )
    # two processes that make the tables at once get in each other's way
    (tmp_path / "dagster.yaml").touch()
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        instance.get_runs(limit=1)
    command: list[str] = COMPOSE["services"]["code"]["command"]
    prefix = command[: command.index("dagster")]
    programs = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(tmp_path),
        "PYTHONPATH": str(tmp_path),
        "PATH": os.pathsep.join([programs, os.environ["PATH"]]),
    }
    with log.open("wb") as out:
        server = subprocess.Popen(
            [*prefix, "dagster", "code-server", "start", "--socket", str(socket_path), "-m", "slow_sensor"],
            env=environment,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        preview = None
        try:
            end = time.monotonic() + SECONDS
            while "evaluating" not in log.read_text():
                assert time.monotonic() < end, log.read_text()
                assert server.poll() is None, log.read_text()
                if preview is None or preview.poll() is not None:
                    # refused until the server listens
                    preview = subprocess.Popen(
                        ["dagster", "sensor", "preview", "slow", "-w", str(tmp_path / "workspace.yaml")],
                        env=environment,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                    )
                time.sleep(0.5)
            everything = tree(server)
            server.send_signal(signal.SIGTERM)
            server.wait(60)
            _, left = psutil.wait_procs(everything, timeout=20)
            assert [command_line(process) for process in left if not is_over(process)] == []
        finally:
            for process in (server, preview):
                if process is not None:
                    kill_tree(process)


def test_the_instance_has_the_rules_of_oasis_up(tmp_path: Path) -> None:
    here = yaml.safe_load((DOCKER / "dagster.yaml").read_text())
    there = configuration(load_settings(tmp_path))
    where = ("storage", "compute_logs", "local_artifact_storage")
    assert {k: v for k, v in here.items() if k not in where} == {
        k: v for k, v in there.items() if k not in where
    }


def test_only_the_proxy_publishes_ports_and_reaches_no_database() -> None:
    services = COMPOSE["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["proxy"]
    assert services["proxy"]["networks"] == ["outside"]
    outside = {name for name, service in services.items() if "outside" in service["networks"]}
    assert outside == {"proxy", "web", "data", "grafana"}


def test_compose_refuses_to_start_without_a_name() -> None:
    with pytest.raises(KeyError, match="OASIS_SITE"):
        interpolated(COMPOSE["services"]["proxy"], {})


def test_each_container_has_the_secrets_that_it_needs_and_no_other(secrets: Path) -> None:
    services = COMPOSE["services"]
    has = {name: set(service.get("secrets", ())) for name, service in services.items()}
    owner = {name for name, own in has.items() if "oasis_pass" in own}
    assert owner == {"init", "code"}
    assert {name for name, own in has.items() if "admin_pass" in own} == {"init", "postgres"}
    assert has["web"] == has["daemon"] == {"dagster_pass"}
    assert has["data"] == {"service_pass", "aws_credentials"}
    assert has["grafana"] == {"reader_pass", "grafana_pass"}
    files = {path.name: path for path in secrets.iterdir()}
    assert set(files) == set(COMPOSE["secrets"]) == set.union(*has.values())
    assert secrets.stat().st_mode & 0o777 == 0o700
    # containers that run as other users have to read them
    assert {path.stat().st_mode & 0o444 for path in files.values()} == {0o444}
    for name, service in services.items():
        assert "env_file" not in service
        used = set(re.findall(r"/run/secrets/(\w+)", json.dumps(interpolated(service, {"OASIS_SITE": "x"}))))
        assert used <= has[name], name
    assert json.loads(files["store_keys"].read_text())["identities"]
    assert not [name for name in (DOCKER / ".env.example").read_text().split() if "PASS=" in name]


def test_kubernetes_is_told_what_compose_is() -> None:
    folder = DOCKER / "kubernetes"
    values = yaml.safe_load((folder / "dagster-values.yaml").read_text())
    instance = yaml.safe_load((DOCKER / "dagster.yaml").read_text())
    for own in ("storage", "compute_logs", "local_artifact_storage", "telemetry"):
        del instance[own]
    assert values["additionalInstanceConfig"] == instance
    pods = {}
    for file in ("init.yaml", "data.yaml", "proxy.yaml"):
        made, *_ = yaml.safe_load_all((folder / file).read_text())
        (pods[made["metadata"]["name"]],) = made["spec"]["template"]["spec"]["containers"]
    (code,) = values["dagster-user-deployments"]["deployments"]
    compose = {
        name: interpolated(service, {"OASIS_SITE": "x"}) for name, service in COMPOSE["services"].items()
    }
    told = set(re.findall(r"^(\w+)=", (folder / "site.env").read_text(), re.MULTILINE))
    for here, there in (("oasis-init", "init"), ("data", "data"), ("proxy", "proxy")):
        assert pods[here]["command"] == compose[there]["command"], here
        own = {
            each["name"]: each.get("value", "").replace("/etc/oasis/", "/run/") for each in pods[here]["env"]
        }
        files = {
            name: value
            for name, value in compose[there]["environment"].items()
            if name.endswith("_PASS_FILE")
        }
        assert files.items() <= own.items(), here
        assert set(compose[there]["environment"]) <= told | own.keys() | {"OASIS_CORS_ORIGINS", "OASIS_CODE_HOST", "OASIS_CODE_PORT"}  # fmt: skip
    assert compose["code"]["command"][-2:] == code["codeServerArgs"]
    own = {each["name"] for each in code["env"]}
    assert {name for name in compose["code"]["environment"] if name.endswith("_FILE")} <= told | own


def test_every_service_has_a_limit_of_memory_and_a_health_check() -> None:
    for name, service in COMPOSE["services"].items():
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert service["healthcheck"], name


def test_the_example_lists_the_variables_that_compose_reads() -> None:
    example = set(re.findall(r"^#?(\w+)=", (DOCKER / ".env.example").read_text(), re.MULTILINE))
    read = set(re.findall(r"\$\{(\w+)", (DOCKER / "compose.yaml").read_text())) - {"OASIS_IMAGE"}
    assert read <= example
