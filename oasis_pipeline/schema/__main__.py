"""Print a reference as Markdown: ``python -m oasis_pipeline.schema tables > docs/tables.md``, or ``files > docs/files.md``."""

import sys

from oasis_pipeline.schema.document import tables_markdown
from oasis_pipeline.schema.files_document import files_markdown

PAGES = {"tables": tables_markdown, "files": files_markdown}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in PAGES:
        raise SystemExit(f"usage: python -m oasis_pipeline.schema {'|'.join(PAGES)}")
    print(PAGES[sys.argv[1]](), end="")  # noqa: T201
