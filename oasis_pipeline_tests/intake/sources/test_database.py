"""The live source on a simulated XSPOC: everything arrives, nothing twice, whatever happens in between."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa

from oasis_pipeline.intake.drop_folder import list_drop_folder
from oasis_pipeline.intake.sources import SourceError
from oasis_pipeline.intake.sources.database import DatabaseSource
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.objects import LocalStore
from oasis_pipeline.storage.postgres import Address, Warehouse
from oasis_pipeline_tests.intake.sources.conftest import Live

pytestmark = pytest.mark.server

TABLES = {
    "card": '"NodeID", "Date", "CardType", "SPM", "StrokeLength", "Fillage", surfcard_position, surfcard_load, pocdowncard_load, surfcard_fault',
    "xdiagresults": '"NodeID", "Date", "FillagePct", "PPRL", "TubingLeak", "CurrentMonthlyElec"',
    "xdiagrodresults": '"NodeID", "Date", "RodNum", "Grade", "Length", "Loading"',
    "welltest": '"NodeID", "TestDate", "Approved", "OilRate"',
    "welldetails": '"NodeID", "POCType", "PumpDepth", "PlungerDiam", "TubingAnchored"',
    "rods": '"NodeID", "RodNum", "Grade", "Length", "Diameter"',
}


def contents(live: Live) -> dict[str, list[dict[str, Any]]]:
    return {
        name: live.rows(f"SELECT {columns} FROM xspoc.{name} ORDER BY 1, 2, 3")
        for name, columns in TABLES.items()
    }


def fill(live: Live, wells: int = 3, cards: int = 4) -> None:
    for number in range(wells):
        node = f"Well {number}"
        live.xspoc.well(node, 5000 + number)
        live.xspoc.test(node, live.now() - timedelta(days=2), 40.0 + number)
        for card in range(cards):
            at = live.now() - timedelta(hours=3 * card, seconds=number)
            live.xspoc.card(node, at, spm=6 + card)
            live.xspoc.diag(node, at)


def test_an_increment_brings_all_and_the_next_one_only_what_is_new(live: Live) -> None:
    fill(live)
    report = live.run()
    assert report.rows == {
        "WellDetails": 3,
        "Rods": 6,
        "CardData": 12,
        "XDiagResults": 12,
        "XDiagRodResults": 24,
        "WellTests": 3,
    }
    assert not live.count("xspoc.rejected")
    (card,) = live.rows(
        'SELECT "SPM", surfcard_fault, surfcard_load FROM xspoc.card WHERE "NodeID" = \'Well 0\' ORDER BY "Date" DESC LIMIT 1'
    )
    assert card["SPM"] == 6.0
    assert card["surfcard_fault"] is None
    assert len(card["surfcard_load"]) == 20
    assert live.rows('SELECT DISTINCT "CurrentMonthlyElec" AS cost FROM xspoc.xdiagresults') == [
        {"cost": 1234.56}
    ]
    assert live.run().rows == {}
    live.xspoc.card("Well 1", live.now() + timedelta(seconds=30), spm=9)
    assert live.source().news() == "CardData has new rows"
    assert live.run().rows == {"CardData": 1}
    assert live.source().news() is None
    assert not list_drop_folder(live.settings.source_drop, live.settings.field_now()).files
    # what came lies in the archive under the names of drop files, as everything else
    kinds = {path.split("/")[1] for path in live.store.list("backup")}
    assert kinds == {"WellDetails", "Rods", "CardData", "XDiagResults", "XDiagRodResults", "WellTests"}


def test_late_and_corrected_rows_arrive_and_no_row_is_sent_again(live: Live) -> None:
    fill(live)
    live.run()
    live.xspoc.card("Well 0", live.now() - timedelta(minutes=40), spm=11)
    live.xspoc.card("Well 0", live.now(), spm=12)  # corrected, or new where the minute has changed
    assert live.run().rows["CardData"] in (1, 2)
    live.xspoc.card("Well 2", live.now() - timedelta(days=2), spm=13)
    live.xspoc.execute(
        'UPDATE xspoc_dbo."tblXDiagResults" SET "FillagePct" = 55 WHERE "NodeID" = %s AND "Date" < %s',
        ("Well 2", live.now() - timedelta(hours=8)),
    )
    assert live.run().rows == {}, "days late: that is for the sweep"
    assert live.sweep().rows == {"CardData": 1, "XDiagResults": 1}
    assert {row["SPM"] for row in live.rows('SELECT "SPM" FROM xspoc.card')} >= {11.0, 12.0, 13.0}
    assert live.rows('SELECT count(*) AS n FROM xspoc.xdiagresults WHERE "FillagePct" = 55') == [{"n": 1}]
    assert live.sweep().rows == {}


def test_equipment_comes_whole_when_it_changed_and_else_not(live: Live) -> None:
    fill(live)
    live.run()
    live.xspoc.well("Well 1", 5001, rods=(("KD", 5001),))
    assert live.sweep().rows == {"Rods": 1}
    assert live.rows('SELECT "Grade", "Length" FROM xspoc.rods WHERE "NodeID" = \'Well 1\'') == [
        {"Grade": "KD", "Length": 5001.0}
    ]


def test_a_well_that_was_silent_for_long_is_read_from_where_it_ended(live: Live) -> None:
    live.xspoc.card("Far", live.now() - timedelta(days=6))
    live.xspoc.card("Near", live.now())
    live.run()
    for hours in range(
        1, 100
    ):  # the controller of Far was read again: days of cards at once, far behind those of Near
        live.xspoc.card("Far", live.now() - timedelta(days=6) + timedelta(hours=hours))
    assert live.run().rows == {"CardData": 99}


def test_a_clock_that_jumps_back_an_hour(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(live, wells=1, cards=1)
    live.run()
    stamp = live.rows("SELECT max(stamp) AS at FROM oasis.file")[0]["at"]
    field = type(live.settings)
    real = field.field_now
    monkeypatch.setattr(field, "field_now", lambda self: real(self) - timedelta(hours=1))
    # the source's clock too: new rows an hour behind what was taken in, and a correction of a row that is there
    at = live.now() + timedelta(seconds=7)
    live.xspoc.card("Well 0", at, spm=3)
    newest = live.xspoc.execute('SELECT max("Date") FROM xspoc_dbo."tblCardData"')[0][0]
    live.xspoc.card("Well 0", newest, spm=4)
    assert live.run().rows == {"CardData": 2}
    stored = {row["Date"]: row["SPM"] for row in live.rows('SELECT "Date", "SPM" FROM xspoc.card')}
    assert stored[at] == 3.0
    assert stored[newest] == 4.0
    assert live.rows("SELECT max(stamp) AS at FROM oasis.file")[0]["at"] == stamp, "stamps never go back"


def test_rows_of_a_clock_that_runs_ahead_wait_and_move_no_watermark(live: Live) -> None:
    fill(live, wells=1)
    live.xspoc.card("Well 0", live.now() + timedelta(days=400))
    report = live.run()
    assert report.rows["CardData"] == 4
    assert any("after the field's clock" in note for note in report.notes)
    assert live.run().rows == {}
    live.xspoc.card("Well 0", live.now() + timedelta(seconds=20))
    assert live.run().rows == {"CardData": 1}
    assert not live.count("xspoc.rejected")


class Cut(DatabaseSource):
    """A source whose connection is cut at one of its statements, for so many tries."""

    def cut(self, at: int, tries: int) -> Cut:
        read, state = self.connection._read, {"left": at, "tries": tries}

        def counted(statement: sa.Select[Any]) -> Any:
            state["left"] -= 1
            if state["left"] < 0 and state["tries"] > 0:
                state["tries"] -= 1
                if self.connection._connection is None:
                    raise sa.exc.OperationalError("", None, psycopg2.OperationalError("connection refused"))
                if self.connection._connection is not None:
                    (pid,) = self.connection._connection.exec_driver_sql("SELECT pg_backend_pid()").one()
                    self.connection._connection.rollback()
                    with psycopg2.connect(self.settings_uri) as killer, killer.cursor() as cursor:
                        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
            return read(statement)

        self.connection._read = counted  # type: ignore[method-assign]
        return self

    settings_uri = ""


@pytest.mark.parametrize("at", [2, 5, 9])
def test_an_outage_of_the_source_in_mid_batch(live: Live, at: int) -> None:
    live.configure("batch_rows = 10\n")
    fill(live, wells=4, cards=8)
    Cut.settings_uri = live.xspoc.address.uri()
    source = Cut(live.settings, live.warehouse, live.store, sleep=lambda _s: None).cut(at, 1)
    source.run()  # one cut is got over by a new connection
    assert live.count("xspoc.card") == 32
    live.xspoc.card("Well 1", live.now() + timedelta(seconds=50))
    with pytest.raises(SourceError, match="does not answer"):
        Cut(live.settings, live.warehouse, live.store, sleep=lambda _s: None).cut(1, 99).run()
    waits: list[float] = []
    with pytest.raises(SourceError, match="does not answer"):
        Cut(live.settings, live.warehouse, live.store, sleep=waits.append).cut(0, 99).news()
    assert not waits, "who looks every minute does not wait"
    unfinished = live.settings.source_drop / ".CardData.E2E.20260101.0000.parquet.12345678.tmp"
    unfinished.write_bytes(b"of a process that was killed while it wrote")
    assert live.run().rows == {"CardData": 1}
    assert not unfinished.exists()


def run_until(address: Address, store: LocalStore, settings: Settings, kill_at: int) -> None:
    """Run an increment in this process, and kill it when so many durable steps have been done."""
    left = kill_at

    def on_step(_step: str, _file: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    DatabaseSource(settings, Warehouse(address), store, on_step=on_step).run()


def test_a_process_that_is_killed_between_fetch_and_store_at_any_step(new_live: Callable[..., Live]) -> None:
    whole = new_live()
    fill(whole, wells=2, cards=2)
    whole.run()
    wanted = contents(whole)
    killed = new_live(whole.xspoc)
    context = multiprocessing.get_context("fork")
    kills = 0
    for step in (0, 1, 3, 5, 8, 2, 8, 11, 4, 60):
        process = context.Process(
            target=run_until, args=(killed.warehouse.address, killed.store, killed.settings, step)
        )
        process.start()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
    assert kills >= 6
    assert contents(killed) == wanted
    assert killed.run().rows == {}
    assert not killed.count("xspoc.rejected")
    assert killed.rows("SELECT count(*) AS n FROM oasis.file WHERE NOT archived") == [{"n": 0}]


def test_a_backfill_beside_increments_is_cut_off_and_goes_on(
    new_live: Callable[..., Live], monkeypatch: pytest.MonkeyPatch
) -> None:
    live = new_live()
    live.configure("batch_rows = 10\nfirst_days = 1\n")
    fill(live, wells=3, cards=2)
    first = live.now() - timedelta(days=60)
    for number in range(3):
        for hour in range(17):
            live.xspoc.card(f"Well {number}", first + timedelta(hours=hour * 5))
    live.run()
    assert live.count("xspoc.card") == 6
    days = (first.date(), live.now().date())
    source = live.source()
    gather = source._gather
    calls = []

    def cut(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:
            raise SourceError("cut off")
        return gather(*arguments)

    monkeypatch.setattr(source, "_gather", cut)
    with pytest.raises(SourceError, match="cut off"):
        source.backfill(*days)
    stored = live.count("xspoc.card")
    assert 6 < stored < 57
    live.xspoc.card("Well 2", live.now() + timedelta(seconds=40), spm=2)
    assert live.run().rows == {"CardData": 1}
    seen: list[tuple[str, int, int]] = []
    report = live.source().backfill(*days, progress=lambda *said: seen.append(said))
    assert live.count("xspoc.card") == 58
    assert report.notes
    assert report.rows["CardData"] <= 57 - 25, "what was brought before is not read again"
    assert {what for what, _, _ in seen} >= {"CardData", "XDiagResults"}
    other = new_live(live.xspoc)
    other.configure("first_days = 100\n")
    other.run()
    assert contents(other) == contents(live)


def test_many_increments_come_to_the_same_as_one_pass(new_live: Callable[..., Live]) -> None:
    live = new_live()
    live.configure("batch_rows = 10\n")
    fill(live)
    for round_ in range(6):
        at = live.now() - timedelta(hours=5 * round_, seconds=round_)
        live.xspoc.card("Well 0", at, spm=round_)
        live.xspoc.diag(f"Well {round_ % 3}", at, fillage=round_)
        live.xspoc.execute(
            'UPDATE xspoc_dbo."tblCardData" SET "Fillage" = %s WHERE "NodeID" = %s',
            (round_, f"Well {round_ % 3}"),
        )
        live.sweep() if round_ % 2 else live.run()
    live.sweep()
    once = new_live(live.xspoc)
    once.run()
    assert contents(live) == contents(once)


def test_bad_rows_are_rejected_once_with_their_reason(live: Live) -> None:
    fill(live, wells=1, cards=1)
    live.xspoc.execute(
        'INSERT INTO xspoc_dbo."tblCardData" ("NodeID", "Date", "SurfaceCardB") VALUES (%s, %s, %s)',
        ("Well 0", live.now() - timedelta(hours=1), b"abc"),
    )
    live.run()
    live.sweep()
    assert [row["Reason"][:13] for row in live.rows('SELECT "Reason" FROM xspoc.rejected')] == [
        "SurfaceCardB:"
    ]


def test_other_names_units_and_zone(new_live: Callable[..., Live]) -> None:
    live = new_live(timezone="America/Chicago")
    live.configure(
        """
schema = "site"
timezone = "UTC"
[tables]
WellDetails.table = ""
Rods.table = ""
XDiagResults.table = ""
XDiagRodResults.table = ""
WellTests.table = ""
[tables.CardData]
table = "kort"
[tables.CardData.columns]
NodeID = "put"
Date = "tid"
StrokeLength = { column = "slag", unit = "m" }
SurfaceCardB = { column = "kort_b", position_unit = "m", load_unit = "kN" }
"""
    )
    live.xspoc.execute("CREATE SCHEMA site")
    live.xspoc.execute(
        "CREATE TABLE site.kort (put text, tid timestamptz, slag float8, kort_b bytea, PRIMARY KEY (put, tid))"
    )
    import numpy as np

    points = np.array([[40.0, 80.0, 80.0, 40.0], [0.0, 0.0, 2.54, 2.54]], "<f4")
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=3)
    live.xspoc.execute("INSERT INTO site.kort VALUES (%s, %s, %s, %s)", ("A", at, 2.54, points.tobytes()))
    assert live.run().rows == {"CardData": 1}
    (row,) = live.rows('SELECT "Date", "StrokeLength", surfcard_position, surfcard_load FROM xspoc.card')
    assert row["Date"] == at.astimezone(live.settings.zone).replace(tzinfo=None)
    assert row["StrokeLength"] == pytest.approx(100.0)
    assert row["surfcard_position"] == pytest.approx([0, 0, 100, 100])
    assert row["surfcard_load"] == pytest.approx([8992.36, 17984.72, 17984.72, 8992.36], rel=1e-5)
    assert live.run().rows == {}


def test_the_source_is_only_read(live: Live) -> None:
    fill(live, wells=1)
    source = live.source()
    with pytest.raises(TypeError, match="only read"):
        source.connection.read(sa.delete(sa.table("tblCardData")))  # type: ignore[arg-type]
    writes = sa.select(sa.func.set_config("default_transaction_read_only", "off", False))
    source.connection.read(writes)
    with pytest.raises(SourceError, match="read-only"):
        source.connection.read(sa.select(sa.func.lo_create(0)))
    assert "password" not in str(source.connection.where)


def test_a_slow_statement_is_given_up_and_rows_are_limited(live: Live) -> None:
    live.configure("statement_seconds = 1\nrows_per_second = 2\nbatch_rows = 10\n")
    fill(live, wells=1)
    rests: list[float] = []
    source = live.source(sleep=rests.append)
    with pytest.raises(SourceError, match="statement timeout"):
        source.connection.read(sa.select(sa.func.pg_sleep(20)))
    source.run()
    assert sum(rests) > source.connection._limit


def test_check_says_what_is_there_and_what_to_do(live: Live) -> None:
    fill(live)
    live.xspoc.execute('DROP TABLE xspoc_dbo."tblWellTests"')
    live.xspoc.card("Well 0", live.now() + timedelta(hours=5))
    found = live.source().check()
    cards = next(entry for entry in found["tables"] if entry["kind"] == "CardData")
    assert cards["rows"] == 13
    assert cards["rows_of_last_day"] == 12
    assert cards["columns"]["SurfaceCardB"] == "SurfaceCardB bytea"
    assert "AreaLimit" in cards["missing"]
    assert "SurfaceCard text" in cards["not_mapped"]
    assert abs(found["clock"]["skew_s"]) < 60
    said = " ".join(found["findings"])
    assert "no table tblWellTests" in said
    assert "in another zone" in said
    assert not live.count("oasis.source_watermark"), "nothing is stored"


def test_check_shows_a_card_and_what_is_wrong_with_its_units(live: Live) -> None:
    assert live.source().check()["sample_card"] is None
    fill(live)
    live.xspoc.card("Well 0", live.now() + timedelta(seconds=10), peak=12_000.0)
    found = live.source().check()
    card = found["sample_card"]
    assert (card["NodeID"], card["column"], card["fault"]) == ("Well 0", "SurfaceCardB", None)
    assert max(card["load_lbf"]) == pytest.approx(12_000.0, rel=0.01)
    assert len(card["position_in"]) == len(card["load_lbf"]) == card["points"]
    assert not [text for text in found["findings"] if "card" in text]

    live.xspoc.card("Well 0", live.now() + timedelta(seconds=30), peak=1e7)
    wrong = live.source().check()
    assert "impossible loads" in wrong["sample_card"]["fault"]
    assert "source.toml" in next(text for text in wrong["findings"] if "SurfaceCardB of Well 0" in text)


def test_a_table_that_was_read_and_is_gone_is_an_error(live: Live) -> None:
    fill(live)
    live.run()
    live.xspoc.execute('DROP TABLE xspoc_dbo."tblCardData"')
    with pytest.raises(SourceError, match=r"tblCardData .* is not there"):
        live.run()


def test_files_that_intake_does_not_take_stop_the_reading(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(live, wells=1)
    live.run()
    live.xspoc.card("Well 0", live.now() + timedelta(seconds=10))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("oasis_pipeline.intake.intake.archive_file", full)
    live.run()
    with pytest.raises(SourceError, match="Nothing more is read"):
        live.run()
    monkeypatch.undo()
    assert live.run().rows == {}
    assert live.count("xspoc.card") == 5
    assert live.rows("SELECT count(*) AS n FROM oasis.file WHERE NOT archived") == [{"n": 0}]
