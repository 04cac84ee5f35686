"""The ``oasis`` command: one module a subcommand.

Here: arguments, progress, what is printed. Not here: the work itself, which stands in the rooms below.
"""
