import pytest

from landslide_dist.whole_file import whole_file, write_whole


def fail(path):
    with whole_file(path) as unfinished:
        unfinished.write_text("half of the sec")
        assert path.read_text() == "first"
        raise OSError("disk is full")


def test_a_file_takes_the_place_of_the_old_one_only_when_it_is_whole(tmp_path):
    path = tmp_path / "folder" / "scores.json"
    write_whole(path, "first")
    with pytest.raises(OSError, match="disk is full"):
        fail(path)
    assert path.read_text() == "first"
    with whole_file(path) as unfinished:
        # Writers go by the suffix.
        assert unfinished.suffix == ".json"
        unfinished.write_text("second")
    assert path.read_text() == "second"
    assert list(path.parent.iterdir()) == [path]
