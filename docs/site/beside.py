"""What the pages link to outside of their folder: examples, results, the changelog."""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
BESIDE = (
    "benchmarks/RESULTS.md",
    "CHANGELOG.md",
    "benchmarks/limits.py",
    "benchmarks/reference.py",
)
LINK = re.compile(r"(\]\()([^)#:\s]+)")


def on_files(files, config):
    """Those files take part in the site, under the folder ``beside``."""
    examples = sorted(path for path in (ROOT / "examples").iterdir() if path.is_file())
    for path in (*(ROOT / name for name in BESIDE), *examples):
        name = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, f"beside/{name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown, page, **_):
    """Links that leave the folder of the pages lead there."""
    here = posixpath.dirname(page.file.src_uri)
    beside = here.removeprefix("beside").lstrip("/")

    def led(match):
        target = match[2]
        if here.startswith("beside"):
            where = posixpath.normpath(posixpath.join(beside, target))
            inside = where.removeprefix("docs/") if where.startswith("docs/") else f"beside/{where}"
        else:
            where = posixpath.normpath(posixpath.join("docs", here, target))
            if where.startswith("docs/"):
                return match[0]
            name, kind = posixpath.splitext(posixpath.basename(where))
            inside = "index.md" if where == "README.md" else f"beside/{where}"
            if kind == ".ipynb":
                inside = f"notebooks/{name}.md"
        return match[1] + posixpath.relpath(inside, here or ".")

    return LINK.sub(led, markdown)
