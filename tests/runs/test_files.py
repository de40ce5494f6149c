"""What a record's folder makes us write: whole, or not at all, and never through a link."""

import os
import re

import pytest

from gradus import InputError
from gradus.runs.files import own_folder, read_json, read_toml, read_whole, write_whole
from gradus.runs.lock import locked

SECRET = b"the user's own"


@pytest.fixture
def victim(tmp_path):
    path = tmp_path / "victim"
    path.write_bytes(SECRET)
    yield path
    assert path.read_bytes() == SECRET


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "received"
    path.mkdir()
    return path


def test_a_file_that_is_written_replaces_a_link(folder, victim):
    (folder / "run.json").symlink_to(victim)
    write_whole(folder / "run.json", b"{}")
    assert not (folder / "run.json").is_symlink()
    assert read_whole(folder / "run.json") == b"{}"


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_nor_is_a_link_followed_where_it_is_written_first(folder, victim, link):
    link(victim, folder / f".run.json.{os.getpid()}")
    write_whole(folder / "run.json", b"{}")
    assert [path.name for path in folder.iterdir()] == ["run.json"]


@pytest.mark.parametrize("code", [28, 122, 30])
def test_a_file_that_cannot_be_written_is_named(folder, monkeypatch, code):
    """The system does not say where there was no space left."""

    def full(descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=re.escape(os.strerror(code))) as caught:
        write_whole(folder / "history.parquet", b"rows")
    assert caught.value.filename == str(folder / "history.parquet")
    assert caught.value.errno == code
    assert list(folder.iterdir()) == []


def linked(path, victim):
    path.symlink_to(victim)


def linked_to_nothing(path, victim):
    path.symlink_to(victim.with_name("not there"))


def hard_linked(path, victim):
    os.link(victim, path)


def of_a_folder(path, victim):
    path.mkdir()


def a_pipe(path, victim):
    os.mkfifo(path)


def with_other_content(path, victim):
    path.write_text("a diary")


NO_LOCKS = [linked, linked_to_nothing, hard_linked, of_a_folder, a_pipe, with_other_content]


@pytest.mark.parametrize("name", ["lock", "checkpoint/lock"])
@pytest.mark.parametrize("there", NO_LOCKS)
def test_what_is_no_lock_of_ours_is_left_as_it_is(folder, victim, name, there):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    there(path, victim)
    before = os.lstat(path)
    said = f"^{re.escape(str(path))}: is no lock that Gradus has made"
    with pytest.raises(InputError, match=said), locked(folder, name):
        raise AssertionError
    after = os.lstat(path)
    assert (before.st_ino, before.st_size, before.st_mtime) == (
        after.st_ino, after.st_size, after.st_mtime,
    )  # fmt: skip
    assert not victim.with_name("not there").exists()


@pytest.mark.parametrize("content", [b"", b"123", b"123\n"])
def test_what_a_process_that_was_killed_has_left_is_a_lock(folder, content):
    (folder / "lock").write_bytes(content)
    with locked(folder):
        assert (folder / "lock").read_bytes() == b"%d\n" % os.getpid()


def test_a_folder_within_a_record_is_no_link(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / "checkpoint").symlink_to(elsewhere)
    with pytest.raises(InputError, match="checkpoint: is a link, through which nothing is written"):
        own_folder(folder / "checkpoint")
    with pytest.raises(InputError, match="is a link"), locked(folder, "checkpoint/lock"):
        raise AssertionError
    assert list(elsewhere.iterdir()) == []


def test_the_folder_of_a_record_may_be_a_link_of_the_users(folder, tmp_path):
    (tmp_path / "named").symlink_to(folder)
    with locked(tmp_path / "named"):
        assert (folder / "lock").exists()


def test_a_pipe_is_not_waited_for(folder):
    os.mkfifo(folder / "run.json")
    with pytest.raises(OSError, match="is no plain file"):
        read_whole(folder / "run.json")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 200_000, b'{"a":' * 200_000])
def test_what_is_no_json_is_a_value_error(folder, content):
    (folder / "run.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"^(?!$)"):
        read_json(folder / "run.json")


NO_TOML = {
    "arrays": "lr = " + "[" * 200_000,
    "tables": "lr = " + "{a = " * 200_000,
    "dotted keys": "a." * 200_000 + "a = 1",
    "dotted keys in quotes": "'a' . \"b\" . " * 100_000 + "a = 1",
    "a dotted header": "[" + "a." * 200_000 + "a]",
    "whole arrays": "lr = " + "[" * 100 + "]" * 100,
    "no line": "lr 0.1",
    "a great file": "#" * 5_000_000,
}


@pytest.mark.parametrize("kind", NO_TOML)
def test_what_is_no_toml_or_too_deep_is_a_value_error_soon(folder, kind):
    (folder / "run.toml").write_text(NO_TOML[kind])
    with pytest.raises(ValueError, match=r"^(?!$)"):
        read_toml(folder / "run.toml")


def test_numbers_and_texts_with_points_are_no_deep_keys(folder):
    content = 'lr = [0.1, 0.25, 1e-3]\ndata = "a.b/c.d/e.f.csv"\n' + "a.b.c = 1.5\n"
    (folder / "run.toml").write_text(content)
    text, read = read_toml(folder / "run.toml")
    assert text == content
    assert read == {"lr": [0.1, 0.25, 1e-3], "data": "a.b/c.d/e.f.csv", "a": {"b": {"c": 1.5}}}
