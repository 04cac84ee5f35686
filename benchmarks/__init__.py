"""What ``make bench`` runs: a module a room, each with ``rows()``. Benchmarks are not tests: nothing here fails on a figure."""
