"""``python -m mopo_pipeline``: the project's ``kedro run``, for an installed package."""

from pathlib import Path

from kedro.framework.project import configure_project

from mopo_pipeline.cli import run


def main() -> None:
    """Run the project's ``run`` command without the ``kedro`` executable."""
    configure_project(Path(__file__).parent.name)
    run()


if __name__ == "__main__":
    main()
