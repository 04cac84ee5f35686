"""The graph's assets: thin bodies, each a call into the rooms above.

Not here: science, file reading, SQL that belongs to a model of ``dbt_sql``, and what decides when an asset is made.
"""
