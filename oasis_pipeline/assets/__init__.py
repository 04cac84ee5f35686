"""The graph's assets as Dagster definitions: thin bodies, each a call into ``operations``.

Not here: what an asset reads and writes (``operations``), science, SQL that belongs to a model of ``dbt_sql``, and what decides when an
asset is made (``automation``).
"""
