"""The simulated field: wells with equipment and histories, their cards, and the drop folder they would send.

Uses the predictive model of `oasis_pipeline.physics`; nothing here is used by the diagnosis or by a solver.
"""
