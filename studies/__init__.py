"""Comparisons and limits that the documents tell of; see README.md."""
