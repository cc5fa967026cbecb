"""The dashboard's own tests and type checks, run with its own tools."""

import subprocess
import sys

import pytest

from tests.conftest import PROJECT
from tests.up_process import changing_web

WEB = PROJECT / "web"
FIND = (
    "import sys; sys.path.insert(0, 'scripts'); import build_dashboard as b; "
    "npm, env = b.find_npm(); "
)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("script", ["check", "test"])
def test_the_dashboards_own_tests_pass(script: str) -> None:
    """Vitest for components and folding, and the compiler in strict mode."""
    with changing_web():
        in_web("b.is_installed() or b.run([*npm, 'ci', '--no-audit', '--no-fund'], env, 'npm ci')")
    said = in_web(f"b.run([*npm, 'run', '{script}'], env, 'npm run {script}')")
    assert f"npm run {script}" in said


def in_web(step: str) -> str:
    """Do a step of the dashboard's build with the npm that builds it; what it said."""
    done = subprocess.run(
        [sys.executable, "-c", FIND + step],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr
