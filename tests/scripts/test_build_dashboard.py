"""When the dashboard is built, with which Node, and what a failing step says."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts import build_dashboard as build
from tests.conftest import PROJECT

VITE = "^20.19.0 || >=22.12.0"
DEBIANS_PYTHON = Path("/usr/bin/python3")


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ("v18.20.4", False),
        ("v20.18.3", False),
        ("v20.19.0", True),
        ("v20.20.2", True),
        ("v21.7.3", False),
        ("v22.11.0", False),
        ("v22.12.0", True),
        ("v24.19.0\n", True),
        ("", False),
        ("not a version", False),
    ],
)
def test_a_node_is_taken_when_vites_engines_admit_it(version: str, fits: bool) -> None:
    assert build.satisfies(version, VITE) is fits


def test_the_engines_that_are_asked_for_are_vites_own() -> None:
    package = PROJECT / "web" / "package.json"
    assert f'"node": "{VITE}"' in package.read_text("utf-8")


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dashboard of a few files that was installed and built, in this order."""
    folder = tmp_path / "web"
    names = (
        "src/main.ts", "public/favicon.svg", "index.html", "package.json", "package-lock.json",
        "node_modules/.package-lock.json", "dist/index.html",
    )  # fmt: skip
    for age, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"engines": {"node": ">=1"}}')
        os.utime(path, (1000 + age, 1000 + age))
    monkeypatch.setattr(build, "WEB", folder)
    monkeypatch.setattr(build, "BUILT", folder / "dist" / "index.html")
    return folder


def touch(path: Path, at_s: int = 5000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (at_s, at_s))


def test_what_was_built_after_every_source_is_current(web: Path) -> None:
    assert build.is_current()
    assert build.is_installed()


@pytest.mark.parametrize("name", ["src/main.ts", "src/new/deep.vue", "index.html", "package.json"])
def test_a_newer_source_asks_for_a_build(web: Path, name: str) -> None:
    touch(web / name)
    assert not build.is_current()


def test_a_file_that_is_no_source_does_not(web: Path) -> None:
    touch(web / "tests" / "board.test.ts")
    touch(web / "node_modules" / "vue" / "index.js")
    assert build.is_current()


def test_without_a_build_one_is_made(web: Path) -> None:
    shutil.rmtree(web / "dist")
    assert not build.is_current()


def test_a_newer_lock_file_asks_for_its_packages(web: Path) -> None:
    touch(web / "package-lock.json")
    assert not build.is_installed()


@pytest.fixture
def npm(web: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put an ``npm`` of one's own first on the PATH: a shell script; what it was asked for."""
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    asked = tmp_path / "asked"

    def place(script: str) -> Path:
        for name, body in (("node", "echo v22.12.0"), ("npm", f'echo "$@" >>{asked}\n{script}')):
            (tools / name).write_text(f"#!/bin/sh\n{body}\n")
            (tools / name).chmod(0o755)
        return asked

    return place


def test_only_what_is_needed_is_done(web: Path, npm: Callable[[str], Path]) -> None:
    asked = npm("exit 0")
    build.main()
    assert not asked.exists()
    touch(web / "src" / "main.ts")
    build.main()
    assert asked.read_text().splitlines() == ["run build"]


def test_packages_are_installed_from_the_lock_file_before_the_build(
    web: Path, npm: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = npm("exit 0")
    touch(web / "package-lock.json")
    build.main()
    assert [line.split()[0] for line in asked.read_text().splitlines()] == ["ci", "run"]
    said = capsys.readouterr().err
    assert "installing the dashboard's packages" in said
    assert "building the dashboard" in said


def test_a_failing_step_names_its_command_and_the_usual_causes(
    web: Path, npm: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    npm("echo no way to the registry >&2; exit 7")
    touch(web / "package-lock.json")
    with pytest.raises(SystemExit) as ended:
        build.main()
    said = str(ended.value)
    assert "npm ci failed with exit code 7" in said
    assert str(web) in said
    assert "Usual causes" in said
    assert "no way to the registry" in capsys.readouterr().err


def test_an_old_node_on_the_path_is_passed_over(
    web: Path, npm: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    npm("exit 0")
    (web / "package.json").write_text(f'{{"engines": {{"node": "{VITE}"}}}}')
    tools = Path(shutil.which("npm") or "").parent
    (tools / "node").write_text("#!/bin/sh\necho v18.20.4\n")
    monkeypatch.setattr(build, "packaged_npm", lambda: (["packaged"], {}))
    assert build.find_npm() == (["packaged"], {})


def copied(tmp_path: Path) -> Path:
    """The dashboard's sources and its installed packages, elsewhere, without what was built."""
    target = tmp_path / "project"
    skipped = shutil.ignore_patterns("node_modules", "dist")
    shutil.copytree(PROJECT / "web", target / "web", ignore=skipped)
    shutil.copytree(PROJECT / "scripts", target / "scripts")
    shutil.copy(PROJECT / "requirements-node.lock", target)
    (target / "web" / "node_modules").symlink_to(PROJECT / "web" / "node_modules")
    return target


@pytest.mark.server
def test_a_real_build_makes_a_page_with_hashed_assets(tmp_path: Path) -> None:
    """With Debian's own interpreter where there is one: the script needs nothing but it."""
    installed = [sys.executable, str(PROJECT / "scripts" / "build_dashboard.py")]
    assert subprocess.run(installed, check=False).returncode == 0
    project = copied(tmp_path)
    python = DEBIANS_PYTHON if DEBIANS_PYTHON.exists() else Path(sys.executable)
    command = [str(python), str(project / "scripts" / "build_dashboard.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (project / "web" / "dist" / "index.html").read_text("utf-8")
    assets = list((project / "web" / "dist" / "assets").iterdir())
    assert {path.suffix for path in assets} >= {".js", ".css"}
    assert any(f"/assets/{path.name}" in page for path in assets)
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (again.returncode, again.stderr) == (0, "")
