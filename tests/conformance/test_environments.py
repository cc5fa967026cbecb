"""Environments are made once, from hashes, and what runs in them sees nothing of ours."""

from pathlib import Path

import pytest

from tests.conformance.environments import LOCKS, SdkError, answers, environment
from tests.test_repository import ADDRESS, HASH, REQUIREMENT


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with nothing in it."""
    folder = tmp_path_factory.mktemp("environments")
    (folder / "empty.lock").write_text("# nothing\n")
    return environment("empty", folder, folder / "cache")


def test_an_environment_is_made_once(empty: Path) -> None:
    folder = empty.parents[3]
    made = (empty.parents[1] / "made").stat().st_mtime_ns
    assert environment("empty", folder, folder / "cache") == empty
    assert (empty.parents[1] / "made").stat().st_mtime_ns == made


def test_another_lock_is_another_environment_and_a_missing_one_is_said(
    empty: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty.lock").write_text("nothing==1.0\n")
    with pytest.raises(SdkError, match="hash"):
        environment("empty", tmp_path, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*/made"))
    with pytest.raises(SdkError, match=r"other\.lock is not there"):
        environment("other", tmp_path, tmp_path / "cache")


def test_a_script_answers_line_by_line_and_imports_nothing_of_ours(
    empty: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import importlib.util, json, sys\n"
        "for line in sys.stdin:\n"
        "    name = json.loads(line)\n"
        "    print(json.dumps([name, importlib.util.find_spec(name) is not None]))\n"
    )
    names = ["json", "tapewire", "pytest"]
    assert answers(empty, script, names) == [["json", True], ["tapewire", False], ["pytest", False]]
    assert answers(empty, script, []) == []


@pytest.mark.parametrize(
    ("text", "said"), [("print(1)", "2 lines in, 1 out"), ("raise OSError('no')", "OSError: no")]
)
def test_a_script_that_fails_is_said(empty: Path, tmp_path: Path, text: str, said: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(text)
    with pytest.raises(SdkError, match=said):
        answers(empty, script, [1, 2])


@pytest.mark.parametrize("lock", sorted(LOCKS.glob("*.lock")), ids=lambda lock: lock.name)
def test_locks_hold_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text("utf-8")
    names = REQUIREMENT.findall(text)
    assert names
    assert len(names) <= len(HASH.findall(text))
    assert ADDRESS.search(text) is None
    assert lock.with_suffix(".in").exists()
