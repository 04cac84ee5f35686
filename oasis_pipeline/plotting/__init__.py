"""Pictures in the field's conventions, as matplotlib figures without any global state.

Position goes across, load goes up, the surface card stands above the pump card. Used by reports, the graph's metadata
and pages alike. Not here: reading data, HTML.
"""
