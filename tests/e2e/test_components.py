"""The dashboard's own tests and type checks, run with its own tools."""

import subprocess
import sys

import pytest

from tests.conftest import PROJECT

WEB = PROJECT / "web"
FIND = "import sys; sys.path.insert(0, 'scripts'); import build_dashboard as b; "


@pytest.mark.timeout(300)
@pytest.mark.parametrize("script", ["check", "test"])
def test_the_dashboards_own_tests_pass(script: str) -> None:
    """Vitest for components and folding, and the compiler in strict mode."""
    program = (
        FIND + "npm, env = b.find_npm(); "
        "b.is_installed() or b.run([*npm, 'ci', '--no-audit', '--no-fund'], env, 'npm ci'); "
        f"b.run([*npm, 'run', '{script}'], env, 'npm run {script}')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"npm run {script}" in done.stderr
