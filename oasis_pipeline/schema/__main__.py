"""Print the reference of all tables as Markdown: ``python -m oasis_pipeline.schema > docs/tables.md``."""

from oasis_pipeline.schema.document import tables_markdown

if __name__ == "__main__":
    print(tables_markdown(), end="")  # noqa: T201
