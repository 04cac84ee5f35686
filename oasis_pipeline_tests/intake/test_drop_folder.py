"""The drop folder: what is settled, what is left, and that nothing that is still being written is lost."""

from __future__ import annotations

import gzip
import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oasis_pipeline.intake import drop_folder, intake
from oasis_pipeline.intake.drop_folder import claim, judge, list_drop_folder
from oasis_pipeline.settings import Settings, load_settings
from oasis_pipeline.storage.objects import LocalStore
from oasis_pipeline_tests.intake.conftest import Field, csv

CARD = "CardData.E2E.20260110.1200.csv"
HEADER = "NodeID,Date,SPM"
ROWS = [f"A,2026-01-09 00:{minute:02d},{minute}" for minute in range(20)]
pytestmark = pytest.mark.server


def stored(field: Field) -> list[float]:
    return field.values('SELECT "SPM" FROM xspoc.card ORDER BY 1')


def in_folder(field: Field) -> list[str]:
    return sorted(path.name for path in field.settings.drop.iterdir())


@pytest.fixture
def writer(field: Field) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the file open, has written ten rows, and stalls until it is told to go on."""
    field.settings.drop.mkdir(parents=True)
    code = (
        "import sys\n"
        f"with open({str(field.settings.drop / CARD)!r}, 'w') as file:\n"
        f"    file.write({csv(HEADER, *ROWS[:10])!r}); file.flush(); print(flush=True)\n"
        f"    sys.stdin.readline(); file.write({csv(*ROWS[10:])!r})\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    if process.poll() is None:
        process.communicate("\n")


# Written to while it is seen


def test_a_file_that_its_writer_has_open_is_left_however_long_it_stalls(
    field: Field, writer: subprocess.Popen[str]
) -> None:
    os.utime(field.settings.drop / CARD, (time.time() - 3600,) * 2)
    report = field.run()
    assert report.files == []
    assert CARD in report.warnings[0]
    assert "open for writing" in report.warnings[0]
    assert in_folder(field) == [CARD]
    writer.communicate("\n")
    field.run()
    assert stored(field) == list(range(20))
    assert in_folder(field) == []


def test_the_kernel_alone_tells_an_open_writer(
    field: Field, writer: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (drop_folder, intake):
        monkeypatch.setattr(module, "open_for_writing", lambda _names: set())
    os.utime(field.settings.drop / CARD, (time.time() - 3600,) * 2)
    report = field.run()
    if not hasattr(drop_folder.fcntl, "F_SETLEASE"):
        pytest.skip("this system has no leases")
    assert report.files == []
    assert "still being written" in report.warnings[0]
    assert in_folder(field) == [CARD]


@pytest.mark.parametrize("step", ["claimed", "loading", "loaded", "archived", "marked"])
def test_bytes_that_come_after_the_read_are_taken_in_as_a_newer_version(field: Field, step: str) -> None:
    """A writer that the system does not show writes on at any time."""
    path = field.put(CARD, csv(HEADER, *ROWS[:10]))
    late = path.open("rb+")  # the same file, wherever it is renamed to
    told = []

    def write_on(done: str, _name: str) -> None:
        if done == step and not told:
            told.append(done)
            late.seek(0, os.SEEK_END)
            late.write(csv(*ROWS[10:]).encode())
            late.flush()

    nobody = pytest.MonkeyPatch()
    nobody.setattr(drop_folder, "open_for_writing", lambda _names: set())
    nobody.setattr(drop_folder, "_open_for_writing_now", lambda _stream: None)
    nobody.setattr(intake, "open_for_writing", lambda _names: set())
    try:
        first = field.run(on_step=write_on)
        late.close()
        field.run()
    finally:
        nobody.undo()
    assert stored(field) == list(range(20))
    assert in_folder(field) == []
    assert told == [step]
    if step == "archived":
        assert any("was written to after it had been read" in note for note in first.notes)
    whole = csv(HEADER, *ROWS).encode()
    newest = field.values("SELECT source_file FROM oasis.file ORDER BY arrival DESC LIMIT 1")[0]
    assert field.store.get_bytes(f"backup/CardData/{newest}") == whole


def test_a_writer_that_opens_by_name_makes_a_new_file_and_both_are_taken_in(field: Field) -> None:
    path = field.put(CARD, csv(HEADER, *ROWS[:10]))

    def write_again(step: str, _name: str) -> None:
        if step == "loading" and not path.exists():
            path.write_text(csv(HEADER, *ROWS[10:]))

    field.run(on_step=write_again)
    field.run()
    field.run()
    assert stored(field) == list(range(20))
    assert in_folder(field) == []


def test_a_claim_is_never_put_back_over_a_new_file(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    path = field.put(CARD, csv(HEADER, "A,2026-01-09,1"))

    def fail(step: str, _name: str) -> None:
        if step == "loading":
            path.write_text(csv(HEADER, "A,2026-01-09,2"))
            raise OSError(5, "Input/output error")

    report = field.run(on_step=fail)
    assert "Input/output error" in report.warnings[0]
    assert len(in_folder(field)) == 2
    field.run()
    assert stored(field) == [2], "the claimed file is the earlier arrival"
    assert field.values("SELECT count(*) FROM oasis.file") == [2]
    assert in_folder(field) == []


def test_what_a_crash_left_claimed_is_taken_in_by_the_next_pass(field: Field) -> None:
    path = field.put(CARD, csv(HEADER, "A,2026-01-09,1"))
    found = list_drop_folder(field.settings.drop, field.settings.field_now()).files[0]
    mine = claim(found)
    assert mine is not None
    assert not path.exists()
    assert field.run().files == [], "the pass that has it is alive"
    mine.stream.close()
    assert len(field.run().files) == 1
    assert stored(field) == [1]
    assert in_folder(field) == []


def test_a_short_wait_for_what_was_copied_just_now(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[float] = []

    def still_s(_file: drop_folder.DropFile, _now_s: float) -> float:
        """As if it had been written when the pass looked first, however slow the machine."""
        began.append(time.monotonic())
        return began[-1] - began[0]

    monkeypatch.setattr(drop_folder.DropFile, "still_s", still_s)
    told: list[tuple[list[str], float]] = []
    field.put(CARD, csv(HEADER, "A,2026-01-09,1"), age_s=0)
    report = field.run(on_wait=lambda names, seconds: told.append((names, seconds)))
    assert stored(field) == [1]
    assert [names for names, _ in told] == [[CARD]]
    assert 0.2 <= told[0][1] < 0.3
    assert CARD in report.notes[0]


def test_no_wait_for_what_has_been_there_for_long(field: Field) -> None:
    field.put(CARD, csv(HEADER, "A,2026-01-09,1"), age_s=3600)
    told: list[object] = []
    report = field.run(on_wait=lambda *args: told.append(args))
    assert told == []
    assert report.notes == []


def test_a_file_that_goes_on_growing_is_left_and_named(field: Field) -> None:
    path = field.put(CARD, csv(HEADER, *ROWS[:1]), age_s=0)
    code = (
        "import sys, time\n"
        "for row in sys.argv[2:]:\n"
        "    with open(sys.argv[1], 'a') as file:\n"
        "        file.write(row + '\\n')\n"
        "    print(flush=True); time.sleep(0.05)\n"
    )
    growing = subprocess.Popen(
        [sys.executable, "-c", code, str(path), *(f"A,2026-01-09 01:{i:02d},{i}" for i in range(60))],
        stdout=subprocess.PIPE,
    )
    assert growing.stdout is not None
    growing.stdout.readline()
    report = field.run()
    growing.communicate()
    if growing.returncode == 0 and report.files == []:
        assert "still being written" in report.warnings[0]
    field.run()
    assert len(stored(field)) == 61
    assert in_folder(field) == []


# What is whole


def whole_files() -> dict[str, bytes]:
    book = io.BytesIO()
    pq.write_table(pa.table({"NodeID": ["A"]}), book)
    text = csv(HEADER, *ROWS).encode()
    return {
        "CardData.E2E.20260110.1200.csv": text,
        "CardData.E2E.20260110.1201.csv": text.decode().encode("utf-16"),
        "CardData.E2E.20260110.1202.csv": text.replace(b"\n", b"\r\n"),
        "CardData.E2E.20260110.1203.csv.gz": gzip.compress(text),
        "CardData.E2E.20260110.1204.csv.gz": gzip.compress(text) + gzip.compress(text) + b"\0" * 512,
        "CardData.E2E.20260110.1205.parquet": book.getvalue(),
    }


@pytest.mark.parametrize("name", whole_files())
def test_a_file_without_its_end_has_to_be_still_for_longer(name: str, tmp_path: Path) -> None:
    settings = load_settings(tmp_path / "home", data_path=tmp_path, settle_seconds=10)
    whole = whole_files()[name]
    cut = whole.rstrip(b"\0")[:-3]
    for content, age_s, expected in (
        (whole, 5, False),
        (whole, 15, True),
        (cut, 15, False),
        (cut, 31, True),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        os.utime(path, (time.time() - age_s,) * 2)
        found = judge(list_drop_folder(tmp_path, settings.field_now()).files, settings)
        assert bool(found.settled) == expected, (len(content), age_s)


def test_names_of_unfinished_uploads_and_dot_files_are_left_without_a_word(field: Field) -> None:
    names = [f"{CARD}.part", f"{CARD}.tmp", f"{CARD}.filepart", f".{CARD}", f".{CARD}.x7Gh2k", ".hidden"]
    for name in names:
        field.put(name, csv(HEADER, *ROWS))
    report = field.run()
    assert (report.files, report.warnings) == ([], [])
    assert in_folder(field) == sorted(names)


# Regular files only


def make_odd(path: Path, kind: str, elsewhere: Path) -> None:
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            here = Path.cwd()
            os.chdir(path.parent)  # a socket's path has to be short
            try:
                made.bind(path.name)
            finally:
                os.chdir(here)
    elif kind == "link":
        elsewhere.write_text("root:secret\n")
        path.symlink_to(elsewhere)
    elif kind == "dangling link":
        path.symlink_to(elsewhere / "nowhere")
    else:
        try:
            os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero has no end
        except PermissionError:
            pytest.skip("only root makes devices")


KINDS = ("folder", "pipe", "socket", "link", "dangling link", "device")


@pytest.fixture
def no_hang() -> Iterator[None]:
    """A pass that waits for a pipe would wait for ever."""

    def stop(*_args: object) -> None:
        raise AssertionError("the pass hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("no_hang")
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_regular_file_is_not_opened_and_hides_nothing(
    field: Field, kind: str, tmp_path: Path
) -> None:
    field.put("CardData.E2E.20260110.1300.csv", csv(HEADER, "A,2026-01-09,1"))
    odd = field.settings.drop / CARD
    make_odd(odd, kind, tmp_path / "secret")
    report = field.run()
    assert stored(field) == [1]
    (warning,) = report.warnings
    assert CARD in warning
    assert f"is a {kind.removeprefix('dangling ')}" in warning
    assert os.path.lexists(odd)
    assert not field.settings.rejected_files.exists()


@pytest.mark.usefixtures("no_hang")
@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_in_rejected_is_not_opened_nor_followed(field: Field, kind: str, tmp_path: Path) -> None:
    rejected = field.settings.rejected_files
    rejected.mkdir(parents=True)
    secret = tmp_path / "secret"
    make_odd(rejected / CARD, kind, secret)
    if kind == "link":
        (rejected / f"{CARD}.reason.txt").symlink_to(secret)
    field.put(CARD, b"junk")
    report = field.run()
    assert [name for name, _ in report.rejected_files] == [CARD]
    kept = [path for path in rejected.glob("*.csv") if path.is_file() and not path.is_symlink()]
    assert [path.read_bytes() for path in kept] == [b"junk"]
    assert not secret.exists() or secret.read_text() == "root:secret\n"
    assert in_folder(field) == []


@pytest.mark.usefixtures("no_hang")
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "folder"])
def test_what_lies_in_the_archive_is_not_opened_nor_followed(field: Field, kind: str, tmp_path: Path) -> None:
    backup = tmp_path / "store" / "backup" / "CardData"
    assert isinstance(field.store, LocalStore)
    assert field.store.root == tmp_path / "store"
    backup.mkdir(parents=True)
    secret = tmp_path / "secret"
    make_odd(backup / CARD, kind, secret)
    field.take(CARD, HEADER, "A,2026-01-09,1")
    assert (backup / CARD).is_file()
    assert not (backup / CARD).is_symlink()
    assert field.store.get_bytes(f"backup/CardData/{CARD}") == csv(HEADER, "A,2026-01-09,1").encode()
    assert not secret.exists() or secret.read_text() == "root:secret\n"
    assert in_folder(field) == []


def test_a_file_that_is_swapped_for_a_link_while_it_is_taken_in_is_not_followed(
    field: Field, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(csv(HEADER, "root,secret,x"))
    field.put(CARD, csv(HEADER, "A,2026-01-09,1"))

    def swap(step: str, _name: str) -> None:
        if step == "claimed":
            (claimed,) = field.settings.drop.iterdir()
            claimed.unlink()
            claimed.symlink_to(secret)

    field.run(on_step=swap)
    assert stored(field) == []
    assert field.rejects() == []
    assert field.store.list("backup") == []


# Stamps ahead of the clock


def test_a_file_stamped_in_the_future_is_left_until_its_time_comes(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = field.settings.field_now()
    near, far = (f"CardData.E2E.{now + ahead:%Y%m%d.%H%M}.csv" for ahead in (timedelta(hours=23), timedelta(hours=25)))  # fmt: skip
    field.put(near, csv(HEADER, "A,2026-01-09,1"))
    field.put(far, csv(HEADER, "A,2026-01-09,2"))
    field.put("CardData.E2E.20520110.1200.csv", csv(HEADER, "A,2026-01-09,3"))
    report = field.run()
    assert stored(field) == [1]
    assert len(report.warnings) == 2
    assert all("ahead of the field's clock" in warning for warning in report.warnings)
    assert in_folder(field) == sorted([far, "CardData.E2E.20520110.1200.csv"])
    monkeypatch.setattr(Settings, "field_now", lambda _self: now + timedelta(hours=2))
    field.run()
    assert stored(field) == [2]
    (field.settings.drop / "CardData.E2E.20520110.1200.csv").rename(field.settings.drop / CARD)
    field.run()
    assert stored(field) == [2], "renamed to a time that has come it is older than the other one"


def test_the_clock_is_the_fields(field: Field) -> None:
    far = load_settings(timezone="Pacific/Kiritimati").field_now() + timedelta(hours=23)
    name = f"CardData.E2E.{far:%Y%m%d.%H%M}.csv"
    field.put(name, csv(HEADER, "A,2026-01-09,1"))
    assert list(field.run().left) == [name]
    field.settings = field.settings.model_copy(update={"timezone": "Pacific/Kiritimati"})
    assert len(field.run().files) == 1


# Same stamp


def test_of_one_stamp_the_later_arrival_wins_also_with_a_content_seen_before(field: Field) -> None:
    a, b = [(HEADER, "A,2026-01-09,1", "A,x,1"), (HEADER, "A,2026-01-09,2")]
    field.take(CARD, *a)
    field.take(CARD, *b)
    marks = field.marks("xspoc/card")
    report = field.take(CARD, *a)
    assert stored(field) == [1]
    assert "arrived later now, so it is loaded again and is in force" in report.notes[0]
    assert report.changed == {"xspoc/card": {"2026-01-09": 1}}
    assert field.marks("xspoc/card")["2026-01-09"] > marks["2026-01-09"]
    assert len(field.rejects()) == 1
    assert field.values("SELECT count(*) FROM oasis.file") == [2]
    again = field.take(CARD, *a)
    assert (again.files[0].already_loaded, again.changed) == (True, {})
    assert "nothing changed" in again.notes[0]
    report = field.take(CARD, *b)
    assert stored(field) == [2]
    from oasis_pipeline.intake import reload_days
    from oasis_pipeline.schema import table

    assert reload_days(field.warehouse, field.store, table("xspoc", "card"), None, None).changed == 0


@pytest.mark.parametrize(
    ("kind", "header", "first", "second", "sql"),
    [
        ("Rods", "NodeID,RodNum,Length", ["A,1,100", "A,2,50"], ["A,1,70"], 'SELECT "Length" FROM xspoc.rods ORDER BY 1'),
        ("WellDetails", "NodeID,PumpDepth", ["Well,1"], ["WELL,2"], 'SELECT "NodeID", "PumpDepth" FROM xspoc.welldetails'),
        ("Labels", "NodeID,Date,TrueLabel1", ["A,2026-01-09,Gas"], ["A,2026-01-09,Full Pump"], 'SELECT "TrueLabel1" FROM clean.dynalabel'),
        ("Failures", "NodeID,Failure Start Date,Failures", ["A,2026-01-09,Rod"], ["A,2026-01-09,Pump"], 'SELECT "Failures" FROM analysis.failure_info'),
        ("Readings", "module_num,timestamp,VBat", ["M,2026-01-09,1"], ["M,2026-01-09,2"], "SELECT measures FROM iot.rawdata"),
    ],
)  # fmt: skip
def test_every_kind_follows_the_later_arrival(
    field: Field, kind: str, header: str, first: list[str], second: list[str], sql: str
) -> None:
    name, states = f"{kind}.E2E.20260110.1200.csv", []
    for rows in (first, second, first, second):
        field.take(name, header, *rows)
        states.append(field.rows(sql))
    assert states[0] != states[1]
    assert states[2:] == states[:2]


def test_a_rerun_after_a_crash_is_no_later_arrival(field: Field) -> None:
    """A is loaded, its pass dies before it deletes A; B of the same stamp comes, and is taken in by a pass that does not see A."""

    class Killed(BaseException):
        pass

    def kill(step: str, _name: str) -> None:
        if step == "marked":
            raise Killed

    field.put(CARD, csv(HEADER, "A,2026-01-09,1"))
    put_back = drop_folder.Claim.put_back
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drop_folder.Claim, "put_back", lambda self: self.stream.close())
        with pytest.raises(Killed):
            field.run(on_step=kill)
    assert drop_folder.Claim.put_back is put_back
    (left,) = in_folder(field)
    aside = field.settings.home / left
    (field.settings.drop / left).rename(aside)
    field.take(CARD, HEADER, "A,2026-01-09,2")
    aside.rename(field.settings.drop / left)
    report = field.run()
    assert stored(field) == [2]
    assert (report.changed, report.notes) == ({}, [])
    assert in_folder(field) == []


# A folder that resists


def test_a_folder_on_another_file_system_than_its_parent(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, rename = os.link, Path.rename

    def across(source: object, target: object) -> bool:
        return ("drop" in str(source)) != ("drop" in str(target))

    def no_link(source: object, target: object, **options: bool) -> None:
        if across(source, target):
            raise OSError(18, "Invalid cross-device link")
        link(source, target, **options)  # type: ignore[arg-type]

    def no_rename(self: Path, target: object) -> Path:
        if across(self, target):
            raise OSError(18, "Invalid cross-device link")
        return rename(self, target)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "link", no_link)
    monkeypatch.setattr(Path, "rename", no_rename)
    field.put(CARD, b"junk")
    field.run()
    assert sorted(path.name for path in field.settings.rejected_files.iterdir()) == [
        CARD,
        f"{CARD}.reason.txt",
    ]
    assert (field.settings.rejected_files / CARD).read_bytes() == b"junk"
    assert in_folder(field) == []


def test_a_folder_that_can_not_be_written_is_left_and_said(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: Path, _target: object) -> Path:
        raise OSError(30, "Read-only file system")

    field.put(CARD, csv(HEADER, *ROWS))
    monkeypatch.setattr(Path, "rename", refuse)
    report = field.run()
    assert "Read-only file system" in report.warnings[0]
    assert (report.files, in_folder(field)) == ([], [CARD])


def test_file_systems_without_links_or_locks(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(drop_folder.fcntl, "flock", refuse)
    field.put(CARD, b"junk")
    field.put("CardData.E2E.20260110.1300.csv", csv(HEADER, "A,2026-01-09,1"))
    field.run()
    assert stored(field) == [1]
    assert (field.settings.rejected_files / CARD).read_bytes() == b"junk"


def test_many_odd_entries_are_counted_not_all_named(field: Field) -> None:
    field.settings.drop.mkdir(parents=True)
    for number in range(60):
        (field.settings.drop / f"junk {number}\n\x1b[31m").touch()
        (field.settings.drop / os.fsdecode(f"bad{number}".encode() + b"\xff.csv")).touch()
    report = field.run()
    assert len(report.warnings) == 21
    assert report.warnings[-1].startswith("... and 100 more")
    assert len(report.unknown_files) == 120
    for text in (*report.warnings, *report.unknown_files):
        text.encode("utf-8")
    assert not any("\x1b" in warning for warning in report.warnings)
