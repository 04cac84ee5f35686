"""The live source by SQL Server's own protocol and driver: the same tables as by PostgreSQL's, and what a broken connection does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from oasis_pipeline.intake.sources import SourceError
from oasis_pipeline_tests.fixtures.tds_server import TdsServer
from oasis_pipeline_tests.intake.sources.conftest import Live
from oasis_pipeline_tests.intake.sources.test_database import contents, fill

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.fixture
def pair(new_live: Callable[..., Live]) -> Iterator[tuple[Live, Live, TdsServer]]:
    """Two installations on one XSPOC: by TDS, and by PostgreSQL; and the server of the first."""
    direct = new_live()
    server = TdsServer(direct.xspoc.address)
    other = new_live(direct.xspoc)
    by_tds = replace(other, settings=other.settings.model_copy(update={"source_url": SecretStr(server.url)}))
    yield by_tds, direct, server
    server.kill()


def test_increments_sweeps_and_a_backfill_come_to_the_same(pair: tuple[Live, Live, TdsServer]) -> None:
    by_tds, direct, server = pair
    for each in pair[:2]:
        each.configure("batch_rows = 10\nfirst_days = 2.5\n")
    fill(direct)
    for hours in range(0, 600, 25):
        direct.xspoc.card("O'Well 9", direct.now() - timedelta(days=40) + timedelta(hours=hours), spm=hours)
    first = by_tds.run()
    assert first.rows == direct.run().rows
    assert first.rows["CardData"] == 12
    direct.xspoc.card("Well 1", direct.now() - timedelta(hours=30), spm=9)
    direct.xspoc.card("Well 0", direct.now() + timedelta(seconds=30), spm=4)
    assert by_tds.source().news() == "CardData has new rows"
    assert by_tds.run().rows == direct.run().rows == {"CardData": 1}
    assert by_tds.sweep().rows == direct.sweep().rows == {"CardData": 1}
    days = ((direct.now() - timedelta(days=50)).date(), direct.now().date())
    assert by_tds.source().backfill(*days).rows == direct.source().backfill(*days).rows
    assert contents(by_tds) == contents(direct)
    assert by_tds.count("xspoc.card") == 12 + 24 + 2
    assert not by_tds.count("xspoc.rejected")
    assert all(statement.startswith("SELECT ") for statement in server.statements)
    with pytest.raises(TypeError, match="only read"):
        by_tds.source().connection.read(sa.insert(sa.table("x", sa.column("a"))))  # type: ignore[arg-type]


def test_check(pair: tuple[Live, Live, TdsServer]) -> None:
    by_tds, direct, _ = pair
    fill(direct)
    found, same = by_tds.source().check(), direct.source().check()
    assert found["server"] == "mssql"
    assert found["tables"] == same["tables"]
    assert abs(found["clock"]["skew_s"]) < 60
    assert "only to read" not in str(found)


def test_a_cut_stream_is_got_over_and_a_killed_server_is_one_clear_line(
    pair: tuple[Live, Live, TdsServer],
) -> None:
    by_tds, direct, server = pair
    by_tds.configure("batch_rows = 10\n")
    fill(direct, wells=4, cards=6)
    for after in (3, 8):
        server.cut_after = len(server.statements) + after
        by_tds.sweep()
        assert server.cut_after is None
    direct.run()
    assert contents(by_tds) == contents(direct)
    direct.xspoc.card("Well 1", direct.now() + timedelta(seconds=40))
    server.kill()
    with pytest.raises(SourceError, match="does not answer") as error:
        by_tds.run()
    assert "only to read" not in str(error.value)
    again = TdsServer(direct.xspoc.address)
    by_tds.settings = by_tds.settings.model_copy(update={"source_url": SecretStr(again.url)})
    assert by_tds.run().rows == {"CardData": 1}
    again.kill()


def test_a_wrong_password_is_refused_at_once(pair: tuple[Live, Live, TdsServer]) -> None:
    by_tds, _, server = pair
    waits: list[float] = []
    url = SecretStr(server.url.replace("only", "wrong"))
    by_tds.settings = by_tds.settings.model_copy(update={"source_url": url})
    with pytest.raises(SourceError) as error:
        by_tds.source(sleep=waits.append).tables()
    assert "wrong" not in str(error.value)
    assert not waits


def test_a_statement_that_takes_too_long_is_given_up(pair: tuple[Live, Live, TdsServer]) -> None:
    by_tds, _, server = pair
    by_tds.configure("statement_seconds = 1\n")
    server.pause_s = 4.0
    waits: list[float] = []
    with pytest.raises(SourceError, match="statement_seconds"):
        by_tds.source(sleep=waits.append).tables()
    assert not waits
