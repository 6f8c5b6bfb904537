from pathlib import Path

import pytest

from notifications.client import Position
from notifications.client.errors import Misused
from notifications.client.keeping import Kept


def test_a_position_is_kept(tmp_path):
    file = tmp_path / "position"
    assert Kept(file).read() is None
    Kept(file).write(Position("e", 7))
    assert Kept(file).read() == Position("e", 7)
    assert [path.name for path in tmp_path.iterdir()] == ["position"]


def test_the_same_is_not_written_again(tmp_path):
    kept = Kept(tmp_path / "position")
    kept.write(Position("e", 7))
    before = (tmp_path / "position").stat().st_ino
    kept.write(Position("e", 7))
    kept.write(None)
    assert (tmp_path / "position").stat().st_ino == before


@pytest.mark.parametrize("text", [b"dear diary", b"\x8f\xff"])
def test_something_else_is_left_alone(tmp_path, text):
    (tmp_path / "notes").write_bytes(text)
    with pytest.raises(Misused, match="notes holds no position"):
        Kept(tmp_path / "notes").read()
    assert (tmp_path / "notes").read_bytes() == text


def test_the_old_one_stands_until_the_new_one_does(tmp_path, monkeypatch):
    kept = Kept(tmp_path / "position")
    kept.write(Position("e", 7))

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        kept.write(Position("e", 8))
    assert kept.read() == Position("e", 7)
    assert [path.name for path in tmp_path.iterdir()] == ["position"]


def test_the_positions_of_topics_are_kept_beside_it(tmp_path):
    file = tmp_path / "position"
    Kept(file).write(Position("e", 7), {"orders.7": Position("t", 3), "a": Position("t", 1)})
    assert file.read_text() == "e:7\na t:1\norders.7 t:3\n"
    kept = Kept(file)
    assert kept.read() == Position("e", 7)
    kept.write(Position("e", 8), {"a": Position("t", 2)})
    kept.write(Position("e", 8), {"a": Position("t", 3)})
    again = Kept(file)
    assert again.read() == Position("e", 8)
    assert again.topics == {"orders.7": Position("t", 3), "a": Position("t", 3)}


@pytest.mark.parametrize("line", ["dear diary", "orders.7", "orders.7 3", "Orders t:3", " t:3"])
def test_what_is_no_topic_is_left_alone(tmp_path, line):
    (tmp_path / "notes").write_text(f"e:7\n{line}\n")
    with pytest.raises(Misused, match="notes holds no position"):
        Kept(tmp_path / "notes").read()
