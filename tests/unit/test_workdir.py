"""A workdir is a directory of prefixes with a current link."""

import pytest

from lago_sdk import PrefixExistsError, PrefixNotFoundError, Workdir, WorkdirError


def add(workdir, *names):
    for name in names:
        place = workdir.make_place(name)
        (place / "uuid").write_text("0" * 32)
        workdir.adopt(name)


@pytest.fixture
def workdir(tmp_path):
    return Workdir.create(tmp_path / "lab")


def test_create_is_idempotent(tmp_path):
    assert Workdir.create(tmp_path).path == Workdir.create(tmp_path).path == tmp_path


def test_create_refuses_a_file(tmp_path):
    (tmp_path / "lab").write_text("")
    with pytest.raises(WorkdirError, match="not a directory"):
        Workdir.create(tmp_path / "lab")


def test_the_first_prefix_becomes_current_and_stays(workdir):
    add(workdir, "zeta", "alpha")
    assert workdir.prefixes == ("alpha", "zeta")
    assert workdir.current == "zeta"
    assert (workdir.path / "current").readlink().name == "zeta"


def test_set_current(workdir):
    add(workdir, "one", "two")
    workdir.set_current("two")
    assert workdir.current == "two"
    with pytest.raises(PrefixNotFoundError, match="did you mean 'two'"):
        workdir.set_current("twoo")


@pytest.mark.parametrize(
    ("names", "expected"), [(("b", "default", "z"), "default"), (("a", "b"), "b")]
)
def test_a_dangling_current_is_mended(workdir, names, expected):
    add(workdir, *names)
    (workdir.path / "current").unlink()
    (workdir.path / "current").symlink_to("gone")
    assert workdir.current == expected
    assert workdir.get_path("current").name == expected


def test_a_taken_name_is_refused(workdir):
    add(workdir, "default")
    with pytest.raises(PrefixExistsError, match="lagoctl destroy"):
        workdir.make_place("default")


def test_what_a_cut_off_creation_left_is_taken_over(workdir):
    place = workdir.make_place("default")
    (place / "LagoInitFile").write_text("")
    (place / ".uuid.x1").write_text("")
    assert workdir.make_place("default") == place


def test_a_users_directory_is_not_taken_over(workdir):
    (workdir.path / "default").mkdir()
    (workdir.path / "default" / "thesis.tex").write_text("")
    with pytest.raises(PrefixExistsError):
        workdir.make_place("default")


@pytest.mark.parametrize("name", ["", "current", "../x", "a/b", ".hidden", "x" * 65, "a b"])
def test_names_that_are_no_good(workdir, name):
    with pytest.raises(WorkdirError, match="cannot be called"):
        workdir.make_place(name)


def test_find_looks_in_dot_lago_here_and_above(tmp_path, monkeypatch):
    home = Workdir.create(tmp_path / ".lago")
    add(home, "default")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert Workdir.find(below).path == home.path
    assert Workdir.find(home.path).path == home.path
    monkeypatch.chdir(below)
    assert Workdir.find().path == home.path


def test_find_says_where_it_looked(tmp_path):
    with pytest.raises(PrefixNotFoundError, match="above it"):
        Workdir.find(tmp_path)


def test_open_accepts_the_directory_that_holds_dot_lago(tmp_path):
    add(Workdir.create(tmp_path / ".lago"), "default")
    assert Workdir.open(tmp_path).prefixes == ("default",)
    with pytest.raises(PrefixNotFoundError, match="no prefixes"):
        Workdir.open(tmp_path / "other")


def test_an_emptied_workdir_goes_and_a_users_file_stays(workdir):
    add(workdir, "default")
    (workdir.path / "default" / "uuid").unlink()
    (workdir.path / "default").rmdir()
    (workdir.path / "notes").write_text("mine")
    workdir.remove_if_empty()
    assert [entry.name for entry in workdir.path.iterdir()] == ["notes"]
    (workdir.path / "notes").unlink()
    workdir.remove_if_empty()
    assert not workdir.path.exists()


def test_current_moves_on_when_its_prefix_is_gone(workdir):
    add(workdir, "a", "b")
    (workdir.path / "a" / "uuid").unlink()
    (workdir.path / "a").rmdir()
    workdir.remove_if_empty()
    assert (workdir.path / "current").readlink().name == "b"
