"""The checks of the trials, on made-up losses: a check that can't fail says nothing. The trials themselves run by ``make faults``."""

from __future__ import annotations

import random
import stat
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import urlparse

import pytest

from oasis_pipeline.storage.errors import StorageError
from oasis_pipeline.storage.objects import S3Store
from oasis_pipeline.storage.postgres import Warehouse
from oasis_pipeline_tests.faults.__main__ import main
from oasis_pipeline_tests.faults.compare import difference, tables_of
from oasis_pipeline_tests.faults.history import ACKNOWLEDGED, REFUSED, UNKNOWN, History, check
from oasis_pipeline_tests.faults.kinds_files import write_large
from oasis_pipeline_tests.faults.s3_proxy import FAULTS, FaultyProxy
from oasis_pipeline_tests.faults.unsynced import Node, cut

FOLDER, FILE = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o644


def test_a_lost_a_doubled_and_a_changed_row_are_seen() -> None:
    undisturbed = {"a": Counter(["1", "2"]), "b": Counter(["x"])}
    assert difference(undisturbed, undisturbed).where == {}
    assert difference(undisturbed, {"a": Counter(["1"]), "b": Counter(["x"])}).where == {"a": (1, 0)}
    assert difference(undisturbed, {"a": Counter(["1", "2", "2"]), "b": Counter(["y"])}).where == {
        "a": (0, 1),
        "b": (1, 1),
    }
    assert difference(undisturbed, {"a": Counter(["1", "2"])}).lost == 1


@pytest.mark.server
def test_every_table_is_compared_but_for_the_columns_that_are_named(warehouse: Warehouse) -> None:
    before = tables_of(warehouse.address)
    assert {"xspoc.card", "iot.rawdata", "clean.dynapred", "oasis.file"} <= set(before)
    with warehouse.transaction() as tx:
        tx.execute("INSERT INTO iot.module (module_num) VALUES ('one')")
        tx.execute(
            "INSERT INTO oasis.asset_state (asset, partition, changed_tick, made_tick, rows) VALUES ('a', '', 1, 2, 3)"
        )
    marked = tables_of(warehouse.address)
    assert set(difference(before, marked).where) == {"iot.module", "oasis.asset_state"}
    with warehouse.transaction() as tx:
        tx.execute("UPDATE oasis.asset_state SET changed_tick = 7")
    assert difference(marked, tables_of(warehouse.address)).where == {}
    with warehouse.transaction() as tx:
        tx.execute("UPDATE oasis.asset_state SET rows = 4")
    assert difference(marked, tables_of(warehouse.address)).where == {"oasis.asset_state": (1, 1)}


def test_a_history_is_held_against_what_is_stored() -> None:
    history = History()
    history.note([1, 2, 3], ACKNOWLEDGED)
    history.note([4, 5], UNKNOWN)
    history.note([6], REFUSED)
    history.note([3], UNKNOWN)  # sent again, without an answer: it stays acknowledged
    good = check(history, {1: 1, 2: 1, 3: 1, 4: 1})
    assert (good.lost, good.doubled, good.acknowledged, good.unknown) == (0, 0, 3, 2)
    assert check(history, {1: 1, 2: 1}).lost == 1
    assert check(history, {1: 1, 2: 2, 3: 1}).doubled == 1
    assert check(history, {1: 1, 2: 1, 3: 1, 5: 2}).doubled == 1
    assert check(history, {1: 1, 2: 1, 3: 1, 6: 1}).doubled == 1
    assert check(history, {1: 1, 2: 1, 3: 1, 99: 1}).doubled == 1


def disk() -> tuple[Node, Node]:
    """A disk with a folder in which everything is durable."""
    root, folder = Node(FOLDER), Node(FOLDER)
    root.entries["f"] = folder
    root.sync()
    return root, folder


def test_a_power_cut_takes_what_was_not_synced_and_nothing_else() -> None:
    root, folder = disk()
    kept, lost, nameless = Node(FILE), Node(FILE), Node(FILE)
    kept.data, lost.data, nameless.data = bytearray(b"kept"), bytearray(b"lost"), bytearray(b"nameless")
    folder.entries |= {"kept": kept, "lost": lost}
    kept.sync()
    folder.sync()
    nameless.sync()
    folder.entries["nameless"] = nameless  # its bytes are durable, its name is not
    kept.data += b" more"
    assert cut(root, None, set()) == 3
    assert {name: bytes(node.data) for name, node in folder.entries.items()} == {"kept": b"kept", "lost": b""}


def test_a_rename_without_a_sync_of_the_folder_is_taken_back() -> None:
    root, folder = disk()
    old, new = Node(FILE), Node(FILE)
    for node, text in ((old, b"old"), (new, b"new")):
        node.data = bytearray(text)
        node.sync()
    folder.entries["name"] = old
    folder.sync()
    folder.entries["name"] = new
    assert cut(root, None, set()) == 1
    assert bytes(folder.entries["name"].data) == b"old"


def test_by_a_seed_some_of_it_reaches_the_disk_all_the_same() -> None:
    ends = set()
    for seed in range(40):
        root, folder = disk()
        file = Node(FILE, data=bytearray(b"0123456789"))
        folder.entries["file"] = file
        cut(root, random.Random(seed), set(), names_kept=seed % 3 > 0)
        ends.add(bytes(folder.entries["file"].data) if "file" in folder.entries else None)
    assert None in ends
    assert b"" in ends
    assert any(end and 0 < len(end) < 10 for end in ends)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_store_behind_a_stumbling_server_gives_the_bytes_or_an_error(
    aws_environment: str, s3_store: S3Store, fault: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever the server does, an object that could be written is there, and one that could be read is whole."""
    # a second is for trials; here it only has to be silence
    monkeypatch.setattr("oasis_pipeline_tests.faults.s3_proxy.SLOW_S", 0.05)
    monkeypatch.setattr(
        "time.sleep", lambda _seconds: None
    )  # retries need not wait for a server that never tires
    port = urlparse(aws_environment).port
    assert port is not None
    proxy = FaultyProxy(port)
    store = S3Store(s3_store.bucket, s3_store.prefix, proxy.url)
    local = tmp_path / "local"
    written = read = 0
    try:
        proxy.spoil((fault,), 0.5, seed=1)
        for number in range(12):
            content = bytes([number]) * 5000
            local.write_bytes(content)
            try:
                store.put_file(f"a/{number}", local)
            except StorageError:
                pass
            else:
                written += 1
                assert s3_store.get_bytes(f"a/{number}") == content
            s3_store.put_bytes(f"b/{number}", content)
            try:
                found = store.get_bytes(f"b/{number}")
            except StorageError:
                continue
            read += 1
            assert found == content
        assert proxy.struck > 0
        assert written + read > 0
    finally:
        proxy.close()


def test_a_large_file_is_of_readings_each_of_its_own_time(tmp_path: Path) -> None:
    rows = write_large(tmp_path / "large.csv", 1 << 20)
    lines = (tmp_path / "large.csv").read_text().splitlines()
    assert len({tuple(line.split(",")[:2]) for line in lines[1:]}) == len(lines) - 1 == rows


def test_kinds_whose_tools_are_missing_are_named_though_none_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "argv", ["faults", "--kinds", "clock jumps"])
    with pytest.raises(SystemExit, match="no kind of trial is left"):
        main()
    assert "skipped: intake: clock jumps: this machine lacks faketime" in capsys.readouterr().out
