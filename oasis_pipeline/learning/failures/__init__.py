"""Forecasting failures: what is known of a day, windows, outcomes, models, run life, alarms, and their honest test.

Not here: reading and writing tables (``assets``), charts (``plotting``).
"""
