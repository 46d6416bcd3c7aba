"""``python -m mopo_pipeline`` and ``mopo-pipeline``: ``kedro run`` of the installed package, with its options.

The configuration is not part of the package: ``--conf-source`` names its folder or the archive that ``kedro package``
writes beside the wheel.
"""

from pathlib import Path

from kedro.framework.cli.utils import find_run_command
from kedro.framework.project import configure_project


def main() -> None:
    """Run what the command line asks for."""
    package = Path(__file__).parent.name
    configure_project(package)
    find_run_command(package)()


if __name__ == "__main__":
    main()
