"""Diagnosis of dynamometer cards: pump, rods, unit and sensors, for many cards of many wells at once.

``diagnose(cards, well)`` takes batches, ``diagnose_card(surface, well)`` one card; the types are :class:`Cards` and :class:`Well`.
"""

from oasis_pipeline.physics.diagnosis.diagnose import Diagnosis, diagnose, diagnose_all, expected_of
from oasis_pipeline.physics.diagnosis.one_card import CardDiagnosis, diagnose_card
from oasis_pipeline.physics.diagnosis.well import Cards, Quality, Well

__all__ = [
    "CardDiagnosis",
    "Cards",
    "Diagnosis",
    "Quality",
    "Well",
    "diagnose",
    "diagnose_all",
    "diagnose_card",
    "expected_of",
]
