"""The repository keeps its own promises: locks, help, version, nothing of one machine."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

import tapewire
from tests.conftest import PROJECT

LOCKS = ("requirements.lock", "requirements-dev.lock")

REGISTRY_HOSTS = ("pypi" + ".org", "python" + "hosted", "registry." + "npmjs", "proxy." + "golang")
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:work|Users|root)/[\w.-]+")
ADDRESS = re.compile(r"\w+://")
REQUIREMENT = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")


def tracked_texts() -> list[tuple[str, str]]:
    """Return name and text of every tracked file that is text (all files without git)."""
    if (PROJECT / ".git").exists():
        listing = subprocess.run(
            ["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=True
        ).stdout.decode()
        paths = [PROJECT / name for name in listing.split("\0") if name]
    else:
        folders = ("src", "tests", "benchmarks", "scripts", "docs")
        paths = [path for folder in folders for path in (PROJECT / folder).rglob("*.*")]
    readable = [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()]
    return [(str(path.relative_to(PROJECT)), path.read_text("utf-8")) for path in readable]


def project_table() -> dict[str, Any]:
    """Return pyproject.toml."""
    return tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))


def test_no_tracked_file_names_a_package_registry() -> None:
    found = [
        (name, host) for name, text in tracked_texts() for host in REGISTRY_HOSTS if host in text
    ]
    assert found == []


def test_no_tracked_file_names_a_path_of_one_machine() -> None:
    found = [
        (name, hit[0])
        for name, text in tracked_texts()
        for hit in [MACHINE_PATH.search(text)]
        if hit
    ]
    assert found == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_requirement_has_hashes(lock: str) -> None:
    text = (PROJECT / lock).read_text("utf-8")
    starts = [match.start() for match in REQUIREMENT.finditer(text)]
    assert len(starts) > 20
    blocks = [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]
    assert [block.split()[0] for block in blocks if not HASH.search(block)] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_hold_no_address(lock: str) -> None:
    assert ADDRESS.search((PROJECT / lock).read_text("utf-8")) is None


def test_development_uses_the_run_time_versions() -> None:
    runtime, dev = (set(REQUIREMENT.findall((PROJECT / lock).read_text("utf-8"))) for lock in LOCKS)
    assert runtime <= dev


def test_every_requirement_of_the_project_is_locked() -> None:
    locked = dict(REQUIREMENT.findall((PROJECT / LOCKS[0]).read_text("utf-8")))
    names = [
        re.split(r"[\[<>=;~ ]", line)[0] for line in project_table()["project"]["dependencies"]
    ]
    assert [name for name in names if name.replace("_", "-").lower() not in locked] == []


def test_every_make_target_has_a_line_of_help() -> None:
    text = (PROJECT / "Makefile").read_text("utf-8")
    phony = re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    assert phony is not None
    helped = set(re.findall(r"^([a-z-]+):.*## \S", text, re.MULTILINE))
    assert helped == set(phony[1].split())
    assert {"install", "test", "test-unit", "check", "bench", "clean"} <= helped


def test_version_is_the_same_everywhere() -> None:
    assert project_table()["project"]["version"] == tapewire.__version__


def test_readme_links_lead_to_files() -> None:
    pages = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *(PROJECT / "docs").rglob("*.md")]
    links = [
        (page, link)
        for page in pages
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    ]
    assert [f"{page.name}: {link}" for page, link in links if not resolves(page, link)] == []


def resolves(page: Path, link: str) -> bool:
    """Tell whether a relative link of a page leads to a file or folder of the project."""
    return (page.parent / link).exists()
