"""Diagnosis of dynamometer cards: pump, rods, unit and sensors, for many cards of many wells at once.

``diagnose(cards, well)`` is the whole of it; the types are :class:`Cards` and :class:`Well`.
"""

from oasis_pipeline.physics.diagnosis.diagnose import Diagnosis, diagnose, diagnose_all, expected_of
from oasis_pipeline.physics.diagnosis.well import Cards, Quality, Well

__all__ = ["Cards", "Diagnosis", "Quality", "Well", "diagnose", "diagnose_all", "expected_of"]
