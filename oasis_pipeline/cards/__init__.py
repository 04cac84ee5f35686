"""Dynamometer cards: the codec of the blobs, canonical forms, geometry and shape descriptors.

NumPy only, pure functions on many cards at once, useful without the rest of the platform.
"""
