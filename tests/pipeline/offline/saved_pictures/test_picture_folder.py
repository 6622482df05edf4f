"""The folder of pictures: private, bounded, and no file in it is ever replaced."""

import stat
from pathlib import Path

import pytest

from pipeline.errors import OutputError
from pipeline.offline.saved_pictures.picture_folder import PictureFolder, picture_name


def folder(path: Path, *, most_files: int = 10, most_bytes: int = 1000) -> PictureFolder:
    return PictureFolder(path, most_files=most_files, most_bytes=most_bytes)


@pytest.mark.parametrize(
    ("stream", "name"),
    [
        ("gate", "gate-3-17.jpg"),
        ("cam:1", "cam_1-3-17.jpg"),
        ("..", "_.-3-17.jpg"),
        (".hidden", "_hidden-3-17.jpg"),
        ("-rf", "_rf-3-17.jpg"),
        ("c" * 200, f"{'c' * 200}-3-17.jpg"),
    ],
)
def test_the_name_of_a_picture_is_safe(stream: str, name: str) -> None:
    assert picture_name(stream, 3, 17) == name
    assert len(picture_name("c" * 200, 2**31 - 1, 2**63 - 1).encode()) < 255


def test_folder_and_pictures_are_for_their_owner_alone(tmp_path: Path) -> None:
    assert folder(tmp_path / "new").write("a.jpg", b"picture")
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (tmp_path / "new", tmp_path / "new/a.jpg")]
    assert modes == [0o700, 0o600]
    assert (tmp_path / "new/a.jpg").read_bytes() == b"picture"


def test_a_folder_that_others_can_look_into_is_refused_and_not_changed(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    with pytest.raises(OutputError, match="others can look into it; `chmod 700"):
        folder(shared)
    assert stat.S_IMODE(shared.stat().st_mode) == 0o755


def test_a_place_where_no_folder_can_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot write pictures to .*file: Not a directory"):
        folder(tmp_path / "file")
    with pytest.raises(OutputError, match=r"nowhere/new: No such file or directory"):
        folder(tmp_path / "nowhere" / "new")


def test_a_file_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    made = folder(tmp_path / "new")
    (tmp_path / "new/a.jpg").write_bytes(b"foreign")
    with pytest.raises(FileExistsError):
        made.write("a.jpg", b"picture")
    assert (tmp_path / "new/a.jpg").read_bytes() == b"foreign"


def test_nor_is_what_a_link_of_that_name_leads_to(tmp_path: Path) -> None:
    made = folder(tmp_path / "new")
    (tmp_path / "new/a.jpg").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        made.write("a.jpg", b"picture")
    assert not (tmp_path / "elsewhere").exists()


def test_it_is_full_after_so_many_files(tmp_path: Path) -> None:
    made = folder(tmp_path / "new", most_files=2)
    assert [made.write(f"{n}.jpg", b"picture") for n in range(3)] == [True, True, False]
    assert made.full
    assert len(list((tmp_path / "new").iterdir())) == 2
    assert made.filled.endswith("new has 2 files of 0.0 MiB")


def test_and_after_so_many_bytes(tmp_path: Path) -> None:
    made = folder(tmp_path / "new", most_bytes=10)
    assert [made.write(f"{n}.jpg", b"6bytes") for n in range(3)] == [True, False, False]
    assert made.full


def test_what_an_earlier_run_has_left_there_counts(tmp_path: Path) -> None:
    folder(tmp_path / "new").write("a.jpg", b"picture")
    assert folder(tmp_path / "new", most_files=1).full
    assert folder(tmp_path / "new", most_bytes=7).full
    assert not folder(tmp_path / "new").full
