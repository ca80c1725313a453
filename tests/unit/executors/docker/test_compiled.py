"""What containers of an image have compiled, kept for later ones."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

from twingraph.executors.docker.compiled import Compiled

TOLD = b64encode(b"compiled").decode()


def test_the_second_is_asked_and_the_third_is_given(tmp_path: Path) -> None:
    compiled = Compiled(tmp_path / "c")
    assert compiled.of("image", "python3") == (b"", False)
    assert compiled.of("image", "python3") == (b"", True)
    assert compiled.of("image", "python3") == (b"", False)  # one is enough
    compiled.take("image", "python3", TOLD)
    assert compiled.of("image", "python3") == (b"compiled", False)


def test_it_is_kept_for_other_processes_of_the_home(tmp_path: Path) -> None:
    Compiled(tmp_path).of("image", "python3")
    assert Compiled(tmp_path).of("image", "python3") == (b"", True)
    Compiled(tmp_path).take("image", "python3", TOLD)
    assert Compiled(tmp_path).of("image", "python3") == (b"compiled", False)
    assert Compiled(tmp_path).of("image", "python3.8") == (b"", False)


def test_one_that_told_nothing_or_nonsense_is_followed_by_another(tmp_path: Path) -> None:
    compiled = Compiled(tmp_path)
    compiled.of("image", "python3")
    for told in ("", "?not base64", "a"):
        assert compiled.of("image", "python3") == (b"", True)
        compiled.take("image", "python3", told)


def test_a_folder_that_cannot_be_written_costs_time_alone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    compiled = Compiled(tmp_path / "file")
    assert compiled.of("image", "python3") == (b"", False)
    compiled.take("image", "python3", TOLD)
    assert compiled.of("image", "python3") == (b"compiled", False)


def test_what_is_old_goes(tmp_path: Path) -> None:
    compiled = Compiled(tmp_path)
    for number in range(40):
        compiled.take(f"image{number}", "python3", TOLD)
    assert len(list(tmp_path.iterdir())) == 24
