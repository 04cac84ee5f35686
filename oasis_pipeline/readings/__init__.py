"""Readings of sensor modules as arrays: windows and their features, spectra, data quality, regular series.

Here: pure functions on times and values. Not here: where readings are stored (``storage``) and what is made of them by day
(``assets``); nothing in this room knows Dagster, Django or a database.
"""
