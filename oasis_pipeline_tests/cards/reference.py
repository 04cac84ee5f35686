"""The canonical forms and descriptors written out for one card in plain Python, to test the batched ones against."""

from __future__ import annotations

import cmath
import math


def ring_work(position, load):
    n = len(position)
    return sum(0.5 * (load[i] + load[(i + 1) % n]) * (position[(i + 1) % n] - position[i]) for i in range(n))


def time_form(position, load):
    """Return ((position, load), reversed, start) of a clean ring without closing point."""
    points = [(float(x), float(y)) for x, y in zip(position, load, strict=True)]
    box = (max(p[0] for p in points) - min(p[0] for p in points)) * (
        max(p[1] for p in points) - min(p[1] for p in points)
    )
    backwards = ring_work(*zip(*points, strict=True)) < -1e-3 * box
    if backwards:
        points = points[::-1]
    n = len(points)
    lowest = min(p[0] for p in points)
    leaving = [i for i in range(n) if points[i][0] == lowest < points[(i + 1) % n][0]]
    start = min(leaving, key=lambda i: (points[i][1], points[(i + 1) % n], points[i - 1]))
    turned = points[start:] + points[:start]
    return turned, backwards, n - 1 - start if backwards else start


def rising_load(position, load, at):
    """Return the load where the position, from the bottom on, first passes ``at``."""
    top = max(position)
    reached = [max(position[: i + 1]) for i in range(len(position))]
    if at >= top:
        return load[reached.index(top)]
    left = max(i for i, x in enumerate(reached) if x <= at)
    share = (at - reached[left]) / (reached[left + 1] - reached[left])
    return load[left] + share * (load[left + 1] - load[left])


def elliptic_fourier(position, load, order):
    """Return the coefficients by integrating each straight segment against the wave, piece by piece.

    An independent road: the Fourier integrals of x(t) themselves, not of its derivative.
    """
    n = len(position)
    lengths = [math.hypot(position[(i + 1) % n] - position[i], load[(i + 1) % n] - load[i]) for i in range(n)]
    total = sum(lengths)
    result = []
    for harmonic in range(1, order + 1):
        omega = 2 * math.pi * harmonic / total
        row = []
        for values in (position, load):
            integral, t = 0j, 0.0
            for i, length in enumerate(lengths):
                if length == 0:
                    continue
                slope = (values[(i + 1) % n] - values[i]) / length
                # integral of (v + s u) exp(i omega (t + u)) du from 0 to the segment's length, by parts
                end = (values[i] + slope * length) * cmath.exp(1j * omega * (t + length))
                begin = values[i] * cmath.exp(1j * omega * t)
                turn = cmath.exp(1j * omega * (t + length)) - cmath.exp(1j * omega * t)
                integral += (end - begin) / (1j * omega) - slope * turn / (1j * omega) ** 2
                t += length
            row += [2 / total * integral.real, 2 / total * integral.imag]
        result.append(row)
    return result
