"""The notebooks in examples become pages, executed as the site is built."""

import html
import tempfile
from pathlib import Path

import nbformat
from mkdocs.structure.files import File
from nbclient import NotebookClient
from traitlets.config import Config

EXAMPLES = Path(__file__).parents[2] / "examples"
SHOWN = ("text/html", "image/png", "text/plain")
"""What a cell shows: the first of these that it has."""


def on_files(files, config):
    """Those pages take part in the site, under the folder ``notebooks``."""
    for path in sorted(EXAMPLES.glob("*.ipynb")):
        name = f"notebooks/{path.stem}.md"
        files.append(File.generated(config, name, content=page_of(path)))
    return files


def page_of(path):
    """A notebook as Markdown: its text, its code, and what that shows."""
    book = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": EXAMPLES}}
    # Kernels are spoken to by files, and not by ports of the machine's network, which others could
    # listen at: a kernel warns of these. Client and kernel have different working directories.
    with tempfile.TemporaryDirectory(prefix="gradus-") as folder:
        by_files = Config({"KernelManager": {"transport": "ipc", "ip": f"{folder}/kernel"}})
        NotebookClient(book, timeout=300, resources=resources, config=by_files).execute()
    parts = []
    for cell in book.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        else:
            parts.append(f"```python\n{cell.source}\n```")
            parts += [shown for output in cell.outputs if (shown := of_output(output))]
    title, _, rest = "\n\n".join(parts).partition("\n")
    kept = f"[{path.name}](../beside/examples/{path.name}) is the notebook itself."
    return f"{title}\n\n{kept}\n{rest}\n"


def of_output(output):
    """An output as HTML; a blank line within would end it for Markdown."""
    if output.output_type == "stream":
        return f'<pre class="shown">{escaped(output.text)}</pre>' if output.name == "stdout" else ""
    kind = next(kind for kind in SHOWN if kind in output.data)
    content = output.data[kind]
    if kind == "text/plain":
        if content.startswith("epoch "):  # the line of progress
            return ""
        return f'<pre class="shown">{escaped(content)}</pre>'
    if kind == "image/png":
        return f'<img src="data:image/png;base64,{content}" alt="">'
    return f'<div class="shown">{" ".join(content.split())}</div>'


def escaped(text):
    """Text within an element, on one line of the page."""
    return html.escape(text.rstrip("\n")).replace("\n", "&#10;")
