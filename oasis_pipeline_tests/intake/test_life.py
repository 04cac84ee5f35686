"""The life of a file: each step after the one before, a crash at any of them, and everything that may stand in the way."""

from __future__ import annotations

import errno
import multiprocessing
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oasis_pipeline.intake import drop_folder, intake
from oasis_pipeline.storage.errors import StorageError
from oasis_pipeline.storage.first_days import read_first_day
from oasis_pipeline.storage.objects import LocalStore, S3Store
from oasis_pipeline_tests.intake.conftest import Field, csv, hex_card
from oasis_pipeline_tests.intake.killed_pass import run_until

CARD = "CardData.E2E.20260110.1200.csv"
HEADER = "NodeID,Date,SPM,SurfaceCardB"
pytestmark = pytest.mark.server


# Steps


def test_the_steps_of_a_life_in_order_and_what_is_durable_after_each(field: Field) -> None:
    field.put(CARD, csv(HEADER, f"A,2026-01-10,1,{hex_card()}"))
    seen: list[tuple[str, int, int, bool, bool]] = []

    def look(step: str, name: str) -> None:
        assert name == CARD
        rows = field.values("SELECT count(*) FROM xspoc.card")[0]
        archived = field.values("SELECT count(*) FROM oasis.file WHERE archived")[0]
        there = any(field.settings.drop.iterdir())
        seen.append((step, rows, archived, bool(field.store.list("backup")), there))
        assert not (field.settings.drop / CARD).exists(), "a writer that opens it by name makes a new file"

    field.run(on_step=look)
    assert seen == [
        ("claimed", 0, 0, False, True),
        ("loading", 0, 0, False, True),
        ("loaded", 1, 0, False, True),
        ("first_day", 1, 0, False, True),
        ("archived", 1, 0, True, True),
        ("marked", 1, 1, True, True),
        ("deleted", 1, 1, True, False),
    ]


def test_the_archive_holds_the_bytes_as_they_came(field: Field) -> None:
    path = field.put(CARD, csv(HEADER, "A,2026-01-10,1,", "A,x,1,"))
    data = path.read_bytes()
    field.run()
    assert field.store.get_bytes(f"backup/CardData/{CARD}") == data


FILES = {
    "WellDetails.E2E.20260109.0000.csv": csv("NodeID,PumpDepth", "Well A,5000"),
    CARD: csv(
        HEADER,
        f"well a,2026-01-10,1,{hex_card()}",
        "well a,2026-01-10,2,",
        "B,2026-01-10,3,zz",
        "B,2026-01-09,4,",
    ),
    "WellTests.E2E.20260109.0000.csv": "no header\n",
}
STEPS = 7 * 2 + 3

STATE = {
    "card": 'SELECT "NodeID", "Date", "SPM", surfcard_load, file_stamp FROM xspoc.card ORDER BY 1, 2',
    "welldetails": "SELECT * FROM xspoc.welldetails",
    "welldetails_history": "SELECT * FROM xspoc.welldetails_history",
    "node": "SELECT * FROM xspoc.node ORDER BY 1",
    "rejected": 'SELECT "Kind", "SourceFile", "RowNumber", "NodeID", "Date", "Reason", "Raw" FROM xspoc.rejected ORDER BY 2, 3',
    "file": "SELECT source_file, sha256, arrival, rows, stored, superseded, rejected, archived FROM oasis.file ORDER BY 1",
    "marks": "SELECT asset, partition, rows FROM oasis.asset_state ORDER BY 1, 2",
}


def state(field: Field) -> dict[str, Any]:
    rejected = field.settings.rejected_files
    return {
        **{name: field.rows(sql) for name, sql in STATE.items()},
        "first_day": read_first_day(field.settings),
        "archive": {path: field.store.get_bytes(path) for path in field.store.list("backup")},
        "drop": sorted(path.name for path in field.settings.drop.iterdir()),
        "rejected_files": {path.name: path.read_text() for path in rejected.iterdir()},
    }


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, Any]:
    return {}


@pytest.mark.parametrize("kill_at", range(STEPS + 1))
def test_a_kill_at_any_step_loses_nothing_and_doubles_nothing(
    field: Field, undisturbed: dict[str, Any], new_field: Callable[[], Field], kill_at: int
) -> None:
    if not undisturbed:
        quiet = new_field()
        for name, content in FILES.items():
            quiet.put(name, content)
        quiet.run()
        undisturbed |= state(quiet)
        assert len(undisturbed["card"]) == 2
        assert len(undisturbed["rejected"]) == 1
        assert len(undisturbed["rejected_files"]) == 2
    for name, content in FILES.items():
        field.put(name, content)
    # A fork of this process would inherit its threads' locks; the server's children are clean and quick.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["oasis_pipeline_tests.intake.killed_pass", "adbc_driver_postgresql.dbapi"]
    )
    child = context.Process(
        target=run_until, args=(field.warehouse.address, field.store, field.settings, kill_at)
    )
    child.start()
    child.join(60)
    assert child.exitcode == (-9 if kill_at < STEPS else 0)
    field.run()
    assert state(field) == undisturbed
    assert field.run().changed == {}


def test_archive_lost_before_the_file_was_deleted_is_made_again(field: Field) -> None:
    content = csv(HEADER, "A,2026-01-10,1,")
    field.put(CARD, content)
    field.run()
    field.store.delete(f"backup/CardData/{CARD}")
    field.put(CARD, content)
    assert field.run().files[0].already_loaded
    assert field.store.get_bytes(f"backup/CardData/{CARD}") == content.encode()


def test_a_whole_life_with_an_s3_store(field: Field, s3_store: S3Store) -> None:
    field.store = s3_store
    content = csv(HEADER, "A,2026-01-10,1,")
    field.take(CARD, *content.splitlines())
    assert s3_store.get_bytes(f"backup/CardData/{CARD}") == content.encode()
    assert not list(field.settings.drop.iterdir())


# Files that are not taken


def test_a_name_that_fits_no_kind_stays_and_is_named(field: Field) -> None:
    for name in ("notes.txt", "CardData.E2E.20260230.0000.csv", "CardData.E2E.20260110.1200.csv.bak"):
        field.put(name, "x")
    (field.settings.drop / "CardData.E2E.20260110.1201.csv").mkdir()
    report = field.run()
    assert len(report.unknown_files) == 4 == len(report.warnings)
    assert all(any(name in warning for warning in report.warnings) for name in report.unknown_files)
    assert sorted(path.name for path in field.settings.drop.iterdir()) == sorted(report.unknown_files)


@pytest.mark.parametrize(
    "content", [b"", b"A,1\n", b"NodeID,Date,NodeID\n", b"SPM\n1\n", b"NodeID,Date\nA\xff,2026-01-10\n"]
)
def test_a_file_that_can_not_be_read_is_moved_with_its_reason_and_the_rest_loads(
    field: Field, content: bytes
) -> None:
    field.put(CARD, content)
    field.put("CardData.E2E.20260111.1200.csv", csv(HEADER, "A,2026-01-10,1,"))
    report = field.run()
    assert [name for name, _ in report.rejected_files] == [CARD]
    folder = field.settings.rejected_files
    assert folder == field.settings.drop.parent / "rejected"
    assert (folder / CARD).read_bytes() == content
    assert (folder / f"{CARD}.reason.txt").read_text() == report.rejected_files[0][1] + "\n"
    assert len(report.files) == 1
    assert not list(field.settings.drop.iterdir())
    assert field.values("SELECT count(*) FROM oasis.file") == [1]


def test_a_second_rejected_file_of_one_name_does_not_overwrite_the_first(field: Field) -> None:
    for content in (b"one", b"two", b"two"):
        field.put(CARD, content)
        field.run()
    kept = sorted(path.read_bytes() for path in field.settings.rejected_files.glob("*.csv"))
    assert kept == [b"one", b"two"]


def test_a_fault_late_in_a_long_file_takes_back_what_was_loaded_before_it(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oasis_pipeline.intake import chunks

    monkeypatch.setattr(chunks, "BLOCK_BYTES", 1 << 10)
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 1 << 10)
    lines = [f"A{i},2026-01-10,1," for i in range(300)]
    report = field.take(CARD, HEADER, *lines, '"' + "x" * 3000)
    assert "quotation mark" in report.rejected_files[0][1]
    assert field.values("SELECT count(*) FROM xspoc.card") == [0]
    assert field.values("SELECT count(*) FROM xspoc.node") == [0]


def test_a_file_from_a_clock_that_runs_ahead_is_taken(field: Field) -> None:
    field.put(CARD, csv(HEADER, "A,2026-01-10,1,").rstrip(), age_s=-3600)
    assert len(field.run().files) == 1


@pytest.mark.parametrize("place", ["drop folder", "file", "rejected", "unlink"])
def test_what_the_system_forbids_is_a_warning_and_the_pass_goes_on(
    field: Field, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    good = "CardData.E2E.20260111.1200.csv"
    field.put(CARD, "junk" if place == "rejected" else csv(HEADER, "A,2026-01-10,1,"))
    field.put(good, csv(HEADER, "B,2026-01-10,1,"))
    denied = PermissionError(errno.EACCES, "Permission denied")
    if place == "drop folder":
        field.settings.drop.rename(field.settings.drop.with_name("elsewhere"))
        field.settings.drop.write_text("a file")
        monkeypatch.setattr(Path, "mkdir", lambda *_a, **_k: None)
    elif place == "file":
        monkeypatch.setattr(drop_folder, "open_regular", _failing(drop_folder.open_regular, denied))
    elif place == "rejected":
        field.settings.rejected_files.write_text("in the way")
    else:
        monkeypatch.setattr(drop_folder.Claim, "delete", _failing(drop_folder.Claim.delete, denied))
    report = field.run()
    assert len(report.warnings) == 1
    if place == "drop folder":
        assert "can't read the drop folder" in report.warnings[0]
        return
    assert CARD in report.warnings[0]
    assert "left in place" in report.warnings[0]
    assert (field.settings.drop / CARD).exists()
    assert not (field.settings.drop / good).exists()
    assert field.values("SELECT count(*) FROM xspoc.card WHERE \"NodeID\" = 'B'") == [1]


def _failing(real: Any, error: OSError) -> Any:
    def call(of: Path | drop_folder.Claim) -> Any:
        if CARD in (of.name if isinstance(of, Path) else of.path.name):
            raise error
        return real(of)

    return call


def test_without_a_drop_folder_there_is_a_warning(field: Field) -> None:
    report = intake.take_in(field.warehouse, field.store, field.settings)
    assert "there is no drop folder" in report.warnings[0]


def test_a_store_that_refuses_leaves_the_file_and_the_next_pass_goes_on(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object) -> None:
        raise StorageError("no bucket")

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "put_file", refuse)
        report = field.take(CARD, HEADER, "A,2026-01-10,1,")
    assert "no bucket" in report.warnings[0]
    hidden = (field.settings.drop / CARD).rename(field.settings.home / "hidden")
    assert "nor in the drop folder" in field.run().warnings[0]
    hidden.rename(field.settings.drop / CARD)
    assert field.values("SELECT archived FROM oasis.file") == [False]
    report = field.run()
    assert report.files[0].already_loaded
    assert field.values("SELECT archived FROM oasis.file") == [True]
    assert not list(field.settings.drop.iterdir())


def test_a_pass_that_ends_early_gives_back_the_file_that_it_has_read_ahead(field: Field) -> None:
    names = [f"CardData.E2E.20260110.{hour:02d}00.csv" for hour in range(3)]
    for hour, name in enumerate(names):
        field.put(name, csv(HEADER, f"A,2026-01-09 {hour:02d}:00,{hour},"))

    def stop(step: str, name: str) -> None:
        if (step, name) == ("loaded", names[0]):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        field.run(on_step=stop)
    assert sorted(path.name for path in field.settings.drop.iterdir()) == names
    field.run()
    assert field.values('SELECT "SPM" FROM xspoc.card ORDER BY "Date"') == [0, 1, 2]


def test_each_file_goes_by_its_own_kind_and_stamp_though_the_next_one_is_read_beside_it(field: Field) -> None:
    for hour in range(6):
        # a row an hour after the stamp of its own file, but not of the next one
        field.put(
            f"CardData.E2E.20260110.{hour:02d}00.csv", csv(HEADER, f"A,2026-01-10 {hour + 1:02d}:00,1,")
        )
        field.put(
            f"WellTests.E2E.20260110.{hour:02d}01.csv",
            csv("NodeID,TestDate,Approved,OilRate", f"A,2026-01-10 {hour:02d}:00,1,{hour}"),
        )
    report = field.run()
    assert [(file.kind, file.stored, file.rejected) for file in report.files] == [
        ("CardData", 0, 1),
        ("WellTests", 1, 0),
    ] * 6


def test_several_passes_at_once_take_each_file_once(field: Field) -> None:
    for hour in range(8):
        field.put(
            f"CardData.E2E.20260110.{hour:02d}00.csv", csv(HEADER, f"A,2026-01-09 {hour:02d}:00,{hour},")
        )
    errors: list[BaseException] = []

    def go() -> None:
        try:
            field.run()
        except BaseException as error:
            errors.append(error)

    passes = [threading.Thread(target=go) for _ in range(3)]
    for each in passes:
        each.start()
    for each in passes:
        each.join()
    assert errors == []
    assert field.values('SELECT "SPM" FROM xspoc.card ORDER BY "Date"') == list(range(8))
    assert field.values("SELECT count(*) FROM oasis.file WHERE archived") == [8]
    assert not list(field.settings.drop.iterdir())


def test_progress_is_told_for_each_file(field: Field) -> None:
    told: list[tuple[int, int, str]] = []
    field.put(CARD, csv(HEADER, "A,2026-01-10,1,"))
    field.run(progress=lambda *args: told.append(args))
    assert told == [(0, 1, CARD), (1, 1, "")]


def test_nothing_of_an_interrupted_transaction_is_seen(field: Field) -> None:
    field.put(CARD, csv(HEADER, "A,2026-01-10,1,"))

    def fail(step: str, _name: str) -> None:
        if step == "loading":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        field.run(on_step=fail)
    assert field.values("SELECT count(*) FROM xspoc.card") == [0]
    assert field.run().files[0].stored == 1
