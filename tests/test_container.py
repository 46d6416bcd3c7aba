"""The container file rests on what is here: paths, make's targets, the command."""

import re
import shlex
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

from conftest import PROJECT

LINES = re.sub(r"\\\n", " ", (PROJECT / "Containerfile").read_text(encoding="utf-8")).splitlines()


def arguments(instruction: str) -> list[list[str]]:
    begin = f"{instruction} "
    return [shlex.split(line.removeprefix(begin)) for line in LINES if line.startswith(begin)]


def test_what_it_copies_is_there_and_not_left_out() -> None:
    copied = [source for *sources, _ in arguments("COPY") for source in sources]
    assert {"src", "conf", "requirements", "pyproject.toml"} <= set(copied)
    left_out = (PROJECT / ".containerignore").read_text(encoding="utf-8").split()
    for source in copied:
        assert (PROJECT / source).exists(), source
        assert source not in left_out
    assert "!conf/local/.gitkeep" in left_out, "Kedro wants the folder"


def test_it_installs_by_a_target_of_make_whose_files_it_has_copied_before() -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    [install] = [line for line in arguments("RUN") if line[0] == "make"]
    rules = dict(re.findall(r"^([\w./-]+):(.*)$", makefile, flags=re.M))
    assert install[1] in rules
    place = [line.startswith("RUN make") for line in LINES].index(True)
    before = " ".join(LINES[:place])
    waiting, needed = [install[1]], set()
    while waiting:
        for name in rules.get(waiting.pop(), "").split():
            waiting.append(name)
            needed |= set() if name.startswith(".venv") else {name.split("/")[0]}
    assert needed == {"pyproject.toml", "requirements"}
    assert all(name in before for name in (*needed, "src", "README.md", "LICENSE"))


def test_it_can_train_adapters_as_a_pretrained_model_has_them() -> None:
    """``podman run ... mopo --env=safe_rlhf`` of the guide is refused without them."""
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    [[_, target]] = [line for line in arguments("RUN") if line[0] == "make"]
    [recipe] = re.findall(rf"^{re.escape(target)}:.*\n((?:\t.*\n)+)", makefile, flags=re.M)
    assert " peft\n" in recipe


def test_its_python_is_one_the_project_promises_and_its_command_is_installed() -> None:
    [[image]] = arguments("FROM")
    major, minor = map(int, re.findall(r":(\d+)\.(\d+)", image)[0])
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    assert (major, minor) >= tuple(map(int, settings["project"]["requires-python"][2:].split(".")))
    assert f"{major}.{minor}" in (PROJECT / "requirements/check.py").read_text(encoding="utf-8")
    [command] = [line for line in LINES if line.startswith("ENTRYPOINT")]
    assert command == 'ENTRYPOINT ["kedro", "run"]'
    assert "kedro" in {found.name for found in entry_points(group="console_scripts")}


def test_it_carries_the_file_that_stops_telemetry() -> None:
    assert "consent: false" in (PROJECT / ".telemetry").read_text(encoding="utf-8")
    assert Path(".telemetry") in {Path(source) for line in arguments("COPY") for source in line}
