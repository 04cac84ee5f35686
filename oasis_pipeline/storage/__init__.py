"""Where data is kept: PostgreSQL (embedded or configured) and an object store of Parquet files and artifacts.

Here: connections, bulk load and upsert, schema migration, the ledger of what is up to date, the object store, and
the files of days in it. Not here: what the rows mean, and Dagster, whose resources over all this are in ``assets``.

``embedded`` starts and stops the server of the wheel (``binaries``), ``server`` says which
one an installation has, ``installation`` opens it, ``postgres`` reads and writes, ``migrate`` makes and changes
tables, ``ledger`` keeps what is up to date, ``objects`` is the object store, ``day_files`` keeps tables in it by
day.
"""
