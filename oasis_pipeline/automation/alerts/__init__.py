"""Alerts: what is wrong with the platform or newly wrong with a well, told once to those who asked for it, and again when it is over.

Here: `attend`, which the sensor ``alerts`` and ``oasis run`` call alike. ``signals`` looks, ``rules`` says who wants to know
(``alerts.toml``), ``book`` keeps what is open and what is owed to whom, ``sending`` sends it. Not here: alarms, which are forecasts of failures; one
that is raised is a reason for an alert.
"""

from __future__ import annotations

from oasis_pipeline.automation.alerts.attend import AlertsReport, attend
from oasis_pipeline.automation.alerts.rules import AlertError, Rules, load_rules, parse_rules

__all__ = ["AlertError", "AlertsReport", "Rules", "attend", "load_rules", "parse_rules"]
