"""OASIS Pipeline: from a rod-pumped field's raw data to decisions.

Rooms, from the bottom up: ``schema`` and ``settings`` (facts), ``cards`` and ``physics`` (science on arrays),
``learning``, ``intake``, ``storage``, ``assets`` (the graph), ``automation`` and ``commands``. A room imports only
from the ones below it.
"""

__version__ = "0.1.0"
