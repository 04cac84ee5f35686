"""Forecast of the next cards of a well, as whole cards in inches and pounds with a band.

Here, from the bottom up: what is kept of a well's days (``history``), what a forecast is mixed from (``candidates``), the mixture
and its band (``model``), learning and judging it walk-forward (``walk``), and cards that depart from their forecast
(``anomaly``). Not here: where cards come from and where rows go (``assets``).
"""
