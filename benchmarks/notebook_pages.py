"""The notebooks as pages of the docs: executed on the artifacts of a run, their tables and pictures kept.

Run with ``make notebook-pages ARGS=<data root>``; the run that the README shows by default. The pages are stored, so that
building the docs needs neither a run nor Jupyter; a test holds their text against the notebooks.
"""

import os
import re
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PAGES = PROJECT / "docs" / "notebooks"
STYLE = re.compile(r"<style scoped>.*?</style>\n?", flags=re.DOTALL)
PICTURE = re.compile(r"!\[\w+\](?=\()")
ORIGIN = "*`notebooks/{}`, run on the pocket task with seed 0, whose table the README shows.*"


def main(data_root: Path) -> None:
    """Write a page per notebook.

    Args:
        data_root: of the run whose artifacts are shown.
    """
    os.environ["MOPO_DATA_ROOT"] = str(data_root.resolve())
    for notebook in sorted((PROJECT / "notebooks").glob("*.ipynb")):
        write_page(notebook, PAGES)


def write_page(notebook: Path, folder: Path) -> None:
    """Execute a notebook and write it as Markdown, its pictures in a folder of its own beside it."""
    import nbformat
    from nbclient import NotebookClient
    from nbconvert import MarkdownExporter

    book = nbformat.read(notebook, as_version=4)
    where = {"metadata": {"path": str(notebook.parent)}}
    NotebookClient(book, timeout=600, resources=where).execute()
    text, made = MarkdownExporter().from_notebook_node(
        book, {"output_files_dir": f"{notebook.stem}_files"}
    )
    pictures = folder / f"{notebook.stem}_files"
    pictures.mkdir(parents=True, exist_ok=True)
    for name, content in made["outputs"].items():
        (folder / name).write_bytes(content)
    page = folder / f"{notebook.stem}.md"
    page.write_text(readable(text, ORIGIN.format(notebook.name)), encoding="utf-8")


def readable(text: str, origin: str) -> str:
    r"""A page as the docs show it: where it comes from under its title, each picture called by its section.

    >>> print(readable('# Data\nText.\n## Rates\n![png](a.png)\n\n\n<table border="1" class="dataframe">', "A run."))
    # Data
    <BLANKLINE>
    A run.
    <BLANKLINE>
    Text.
    ## Rates
    ![Rates](a.png)
    <BLANKLINE>
    <table>
    <BLANKLINE>
    """
    text = STYLE.sub("", text).replace('<table border="1" class="dataframe">', "<table>")
    title, *rest = text.strip().splitlines()
    lines, section = [title, "", origin, ""], title
    for line in (line.rstrip() for line in rest):
        if line.startswith("## "):
            section = line
        if line or lines[-1]:
            lines.append(PICTURE.sub(f"![{section.lstrip('# ')}]", line))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else PROJECT / "data"))
