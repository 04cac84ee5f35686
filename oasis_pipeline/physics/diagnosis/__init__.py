"""Diagnosis of dynamometer cards."""
