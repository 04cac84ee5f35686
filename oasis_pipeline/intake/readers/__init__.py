"""Readers of drop files, one module a format; each ends in chunks of text (``chunks``)."""
