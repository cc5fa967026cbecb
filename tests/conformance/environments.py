"""Environments for the brokers' SDKs, whose pins would poison ours: one each, made once.

``{name}.lock`` in this folder holds versions and hashes, and no addresses, of exactly what a
comparison needs; nothing else is installed, whatever the SDK would have (``--no-deps``). Where
something comes as source only, ``{name}-build.lock`` has what builds it, and is installed first.
An environment lies in a cache folder outside the project under the hash of its lock files, so
that a change of them makes a new one; what a killed run began is begun again.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LOCKS = Path(__file__).parent


class SdkError(Exception):
    """An environment could not be made, or what ran in it failed: what was said."""


def environment(name: str, locks: Path = LOCKS, cache: Path | None = None) -> Path:
    """Return the interpreter of ``name``'s environment; make it where it is not there yet.

    Needs the package index that pip is set up for, once. Raises SdkError.
    """
    wanted, build = locks / f"{name}.lock", locks / f"{name}-build.lock"
    if not wanted.exists():
        raise SdkError(f"{wanted} is not there: write the requirements and their hashes")
    files = [build, wanted] if build.exists() else [wanted]
    folder = (cache or cache_folder()) / f"{name}-{_version_of(files)}"
    python = folder / "bin" / "python"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder.with_suffix(".making")):
        if not (folder / "made").exists():
            _make(folder, python, files)
    return python


def cache_folder() -> Path:
    """``~/.cache/tapewire-tests``, or where ``XDG_CACHE_HOME`` has it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tapewire-tests"


def answers(python: Path, script: Path, questions: Iterable[Any]) -> list[Any]:
    """Run ``script`` in an environment: a line of JSON in for each question, and one out.

    The script runs isolated (``-I``): nothing of this project can be imported there.
    Raises SdkError when it fails or answers a different number of lines.
    """
    lines = [json.dumps(question) for question in questions]
    command = [str(python), "-I", str(script)]
    told = _run(command, "\n".join(lines) + "\n" if lines else "").splitlines()
    if len(told) != len(lines):
        raise SdkError(f"{script.name}: {len(lines)} lines in, {len(told)} out")
    return [json.loads(line) for line in told]


def _version_of(files: Iterable[Path]) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _make(folder: Path, python: Path, files: Iterable[Path]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _run([sys.executable, "-m", "venv", "--without-pip", str(folder)])
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    for file in files:
        hashed = ["--no-deps", "--no-build-isolation", "--require-hashes", "-r", str(file)]
        _run([*pip, "--quiet", "install", *hashed])
    (folder / "made").touch()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time in; the lock ends with its holder."""
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _run(command: list[str], told: str = "") -> str:
    """Run a command without this project on its path; what it wrote."""
    done = subprocess.run(command, input=told, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip()[-2000:]
        raise SdkError(f"{' '.join(command)} ended with {done.returncode}: {said}")
    return done.stdout
