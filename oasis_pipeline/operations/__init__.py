"""What the platform does with the warehouse and the object store: reads, trains, predicts, judges, writes.

Here: functions of warehouse, store and days, for assets, commands, pages, the Python API and benchmarks alike. Not here: Dagster, the
science on arrays (``learning``, ``physics``, ``decisions``), drop files (``intake``).
"""
