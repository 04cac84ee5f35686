"""The object store: one set of rules for the folder and for S3."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_pipeline.settings import load_settings
from oasis_pipeline.storage.errors import StorageError
from oasis_pipeline.storage.objects import LocalStore, ObjectStore, S3Store, checked, open_store


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.server)])
def store(request: pytest.FixtureRequest) -> ObjectStore:
    made: ObjectStore = request.getfixturevalue("local_store" if request.param == "folder" else "s3_store")
    return made


def test_bytes_go_in_and_come_out(store: ObjectStore) -> None:
    assert store.list() == []
    store.put_bytes("a/b/c.bin", b"\0one")
    store.put_bytes("a/b/c.bin", b"\0two!")
    store.put_bytes("empty", b"")
    assert store.get_bytes("a/b/c.bin") == b"\0two!"
    assert store.size("a/b/c.bin") == 5
    assert store.size("empty") == 0
    assert store.exists("empty")
    assert store.sha256("a/b/c.bin") == hashlib.sha256(b"\0two!").hexdigest()


def test_what_is_not_there(store: ObjectStore) -> None:
    store.put_bytes("a/b", b"x")
    for path in ("a", "a/b/c", "nothing"):
        assert store.size(path) is None
        assert not store.exists(path)
        assert not store.delete(path)
        with pytest.raises(StorageError, match=f"there is no .*{path}"):
            store.get_bytes(path)
        with pytest.raises(StorageError, match="there is no"):
            store.read_table(path)


def test_listing_is_by_the_beginning_of_the_path(store: ObjectStore) -> None:
    paths = ["a.txt", "a/1", "a/2/x", "ab/1", "b"]
    for path in reversed(paths):
        store.put_bytes(path, b"")
    assert store.list() == sorted(paths)
    assert store.list("a/") == ["a/1", "a/2/x"]
    assert store.list("a") == ["a.txt", "a/1", "a/2/x", "ab/1"]
    assert store.list("a/2") == ["a/2/x"]
    assert store.list("none/at/all") == []
    assert store.delete("a/1")
    assert store.list("a/") == ["a/2/x"]


def test_a_file_larger_than_one_part(store: ObjectStore, tmp_path: Path) -> None:
    data = bytes(range(256)) * 40_000
    (tmp_path / "large").write_bytes(data)
    store.put_file("backup/large", tmp_path / "large")
    assert store.sha256("backup/large") == hashlib.sha256(data).hexdigest()


def test_tables_are_parquet(store: ObjectStore) -> None:
    rows = pa.table({"x": [1, None], "points": pa.array([[1.5], None], pa.list_(pa.float32()))})
    size = store.write_table("t.parquet", rows)
    assert store.size("t.parquet") == size
    assert store.read_table("t.parquet").equals(rows)
    assert store.read_table("t.parquet", ["points"]).column_names == ["points"]
    with pytest.raises(StorageError, match="has no column y"):
        store.read_table("t.parquet", ["y"])
    store.put_bytes("not.parquet", b"PAR1 no")
    with pytest.raises(StorageError, match="not a Parquet file"):
        store.read_table("not.parquet")


def test_numbers_of_lists_have_no_dictionary(local_store: LocalStore) -> None:
    local_store.write_table("t.parquet", pa.table({"name": ["a", "a"], "points": [[1.5, 2.5], [3.5]]}))
    group = pq.ParquetFile(pa.BufferReader(local_store.get_bytes("t.parquet"))).metadata.row_group(0)
    assert [group.column(place).has_dictionary_page for place in range(2)] == [True, False]


@pytest.mark.parametrize(
    "path", ["", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a\\b", "a\0", ".tmp/x", "a/.tmp1"]
)
def test_paths_stay_inside(local_store: LocalStore, path: str) -> None:
    with pytest.raises(StorageError, match="not a path of the object store"):
        local_store.put_bytes(path, b"")
    with pytest.raises(StorageError, match="not a path of the object store"):
        local_store.delete(path)


@given(st.text())
def test_any_text_is_refused_or_lies_inside(text: str) -> None:
    try:
        path = checked(text)
    except StorageError:
        return
    root = Path("/root of the store")
    assert (root / path).relative_to(root).as_posix() == path
    assert ".." not in path.split("/")


def test_a_write_that_fails_leaves_the_old_object(
    local_store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_store.put_bytes("a", b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        local_store.put_bytes("a", b"new")
    assert local_store.get_bytes("a") == b"old"
    assert local_store.list() == ["a"]
    assert list((local_store.root / ".tmp").iterdir()) == []


@pytest.mark.server
def test_without_its_bucket_s3_says_so(aws_environment: str) -> None:
    with pytest.raises(StorageError, match="there is no bucket nowhere: make it, or correct OASIS_S3_BUCKET"):
        S3Store("nowhere", "", aws_environment).put_bytes("a", b"")


@pytest.mark.server
def test_a_store_in_s3_travels_without_its_client_and_shows_no_secret(s3_store: S3Store) -> None:
    s3_store.put_bytes("a", b"x")
    copy: S3Store = pickle.loads(pickle.dumps(s3_store))
    assert copy.get_bytes("a") == b"x"
    assert repr(copy) == "S3Store('s3://oasis-test/field/one')"


def test_the_configuration_chooses(tmp_path: Path) -> None:
    local = open_store(load_settings(tmp_path))
    assert (type(local), local.url) == (LocalStore, str(tmp_path / "store"))
    assert not (tmp_path / "store").exists()
    remote = open_store(
        load_settings(tmp_path, s3_bucket="field", s3_prefix="/one/", s3_endpoint="http://127.0.0.1:1")
    )
    assert (type(remote), remote.url) == (S3Store, "s3://field/one")
