r"""Surface card to pump card in the frequency domain, exact for each harmonic of any tapered string.

Belongs here: the damped wave equation solved harmonic by harmonic, for many cards at once. Does not belong here:
finite differences (:mod:`.wave_difference`, the independent second solver), the choice of the damping, and reading
the pump card (:mod:`.diagnosis`).

With the position :math:`y` counted upward, depth :math:`x` downward and the tension :math:`T=-EA\,y_x`, a section of
constant properties obeys :math:`EA\,y_{xx} = m\,(y_{tt} + c\,y_t)`. For the harmonic :math:`e^{i\omega t}` with
:math:`k=\sqrt{(\omega^2-i\omega c)\,m/EA}` the state at the bottom of a section of length :math:`l` is

.. math::

    \begin{bmatrix} y \\ T \end{bmatrix}_b =
    \begin{bmatrix} \cos kl & -\sin kl/(EAk) \\ EAk\,\sin kl & \cos kl \end{bmatrix}
    \begin{bmatrix} y \\ T \end{bmatrix}_t ,

whose determinant is 1; sections multiply. The mean (:math:`\omega=0`) is the static stretch. Equal to the series of
Gibbs [1]_ for one section, without its restriction to one section.

Conventions
-----------
*Effective load* (default): the buoyant weight of the rods is taken from the surface load before the solution, so that
an empty, unmoving pump reads zero. *True load*: the weight of the rods in air is taken instead, so that the buoyant
force shows as a negative load on the downstroke; true = effective - (weight in air - buoyant weight). A load offset is
subtracted from the surface load first; it shifts the pump loads by the same amount and the pump position by its static
stretch, nothing else.

References
----------
.. [1] S. G. Gibbs, "Predicting the behavior of sucker-rod pumping systems", *J. Pet. Technol.* 15 (1963) 769-778, and
   US patent 3,343,409 (1967, expired).
.. [2] G. Takacs, *Sucker-Rod Pumping Handbook*, Gulf, 2015, section 4.4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.physics.constants import GRAVITY_FT_PER_S2, INCHES_PER_FOOT
from oasis_pipeline.physics.rods import RodString

Array = NDArray[np.float64]

FAST = {"reassoc", "contract", "arcp", "nsz"}
"""Liberties the compiler may take; not those that assume away NaN, which here marks a card that is missing."""

_STRING_FIELDS = ("length_ft", "diameter_in", "weight_lb_per_ft", "modulus_psi", "tensile_psi")

_CHUNK = 128
"""Cards solved at once: the spectra of that many cards of 200 points stay in the second-level cache."""


def mean_wave_speed_ft_per_s(string: RodString) -> Array:
    """Length of the string over the travel time of a wave through it, shape (...)."""
    travel = np.sum(string.length_ft / string.wave_speed_ft_per_s, axis=-1)
    return np.asarray(string.total_length_ft / travel)


def damping_per_s(string: RodString, damping: ArrayLike) -> Array:
    """Damping coefficient of the wave equation from the dimensionless one: c = pi a nu / (2 L).

    Parameters
    ----------
    string : RodString
        One string or a batch (...).
    damping : array_like, broadcast to (...)
        Dimensionless damping nu, usually 0.05 to 0.3.

    Returns
    -------
    ndarray
        c, 1/s.
    """
    scale = np.pi * mean_wave_speed_ft_per_s(string) / (2.0 * string.total_length_ft)
    return np.asarray(np.asarray(damping, dtype=np.float64) * scale)


# With r = c/w and g = sqrt((1 + sqrt(1 + r^2))/2) the wave number is k = slowness w (g - i r/(2 g)). For small r, which is all
# but the first few harmonics, g, 1/g and 1/|k|^2 come from their series in r^2, the undamped phases by a rotation from one
# harmonic to the next, and what damping adds to the phase and takes from the decay is small enough for series too. The entries
# agree to 2e-10 with those by roots, sines and exponentials, and such a loop compiles to vector instructions.


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def _section(base, damping, length, stiffness, mass, inches, harmonics):  # type: ignore[no-untyped-def]
    """What the entries of one section are made of: phase and decay, impedance of the first harmonic, first smooth harmonic.

    The first smooth harmonic lies between 1 and the number of harmonics whatever comes in: it becomes an index, and compiled code checks none.
    """
    slowness = np.sqrt(mass / stiffness)
    travel = slowness * length * base
    decay = 0.5 * slowness * length * damping
    # as a float first: a speed or a rod next to nothing makes it larger than any whole number
    smooth = 1 + int(np.ceil(min(damping / base * max(4.0, 5.0 * decay), float(harmonics))))
    smooth = max(1, min(smooth, harmonics))
    return travel, decay, stiffness * slowness * base / inches, smooth


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def _rough_entry(h, share, travel, decay, unit):  # type: ignore[no-untyped-def]
    """Compute cos kl, sin kl/(EA k), EA k sin kl of harmonic h, two floats each; ``share``: damping over base frequency."""
    r = share / h
    g = np.sqrt(0.5 * (1.0 + np.sqrt(1.0 + r * r)))
    i = 0.5 * r / g
    ca = np.cos(travel * h * g)
    sa = np.sin(travel * h * g)
    b = decay / g
    grow = np.exp(b)
    shrink = 1.0 / grow
    ch = 0.5 * (grow + shrink)
    sh = 0.5 * (grow - shrink)
    to = unit * h
    by = 1.0 / (to * (g * g + i * i))
    sr = sa * ch
    si = ca * sh
    return (
        ca * ch,
        sa * sh,
        (sr * g + si * i) * by,
        (sr * i - si * g) * by,
        (sr * g - si * i) * to,
        -(si * g + sr * i) * to,
    )


@numba.njit(inline="always", cache=True, nogil=True, fastmath=FAST)
def _smooth_entry(h, share, travel, decay, grown, shrunk, unit, turn_c, turn_s):  # type: ignore[no-untyped-def]
    """Compute the same for small ``share`` over h; ``grown`` and ``shrunk`` are exp(+-decay), ``turn`` is the undamped phase."""
    by_h = 1.0 / h
    r = share * by_h
    r2 = r * r
    more = 21.0 / 1024.0 - r2 * (429.0 / 32768.0 - r2 * (2431.0 / 262144.0 - r2 * (29393.0 / 4194304.0)))
    more = r2 * (0.125 - r2 * (5.0 / 128.0 - r2 * more))
    less = 33.0 / 1024.0 - r2 * (715.0 / 32768.0 - r2 * (4199.0 / 262144.0 - r2 * (52003.0 / 4194304.0)))
    less = r2 * (0.125 - r2 * (7.0 / 128.0 - r2 * less))
    root = 35.0 / 128.0 - r2 * (
        63.0 / 256.0 - r2 * (231.0 / 1024.0 - r2 * (429.0 / 2048.0 - r2 * (6435.0 / 32768.0)))
    )
    root = 1.0 - r2 * (0.5 - r2 * (0.375 - r2 * (0.3125 - r2 * root)))
    g = 1.0 + more
    i = 0.5 * r * (1.0 - less)
    d = travel * h * more
    d2 = d * d
    dc = 1.0 - d2 * (0.5 - d2 * (1.0 / 24.0))
    ds = d * (1.0 - d2 * (1.0 / 6.0 - d2 * (1.0 / 120.0)))
    ca = turn_c * dc - turn_s * ds
    sa = turn_s * dc + turn_c * ds
    e = decay * less
    grow = grown * (1.0 - e * (1.0 - e * (0.5 - e * (1.0 / 6.0 - e * (1.0 / 24.0)))))
    shrink = shrunk * (1.0 + e * (1.0 + e * (0.5 + e * (1.0 / 6.0 + e * (1.0 / 24.0)))))
    ch = 0.5 * (grow + shrink)
    sh = 0.5 * (grow - shrink)
    to = unit * h
    by = by_h / unit * root
    sr = sa * ch
    si = ca * sh
    return (
        ca * ch,
        sa * sh,
        (sr * g + si * i) * by,
        (sr * i - si * g) * by,
        (sr * g - si * i) * to,
        -(si * g + sr * i) * to,
    )


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def _turns(first, harmonics, travel, turn):  # type: ignore[no-untyped-def]
    """Fill cosines and sines of h travel, in turn, by rotation."""
    step_c = np.cos(travel)
    step_s = np.sin(travel)
    c = np.cos(travel * first)
    s = np.sin(travel * first)
    for h in range(first, min(first + 8, harmonics)):
        turn[2 * h] = c
        turn[2 * h + 1] = s
        old = c
        c = c * step_c - s * step_s
        s = s * step_c + old * step_s
    # From there eight rotations side by side: each has to wait for the one before it.
    for _ in range(3):
        old = step_c
        step_c = step_c * step_c - step_s * step_s
        step_s = 2.0 * old * step_s
    before = turn[2 * first : 2 * harmonics]
    after = before[16:]
    for j in range(len(after) // 2):
        after[2 * j] = before[2 * j] * step_c - before[2 * j + 1] * step_s
        after[2 * j + 1] = before[2 * j + 1] * step_c + before[2 * j] * step_s


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def _sections(base, damping, length, stiffness, mass, inches, cosine, sine_over, sine_times):  # type: ignore[no-untyped-def]
    """Entries of the section matrices: base frequency and damping (u,), the others (u, s); results (u, s, h), complex."""
    cases, sections, harmonics = cosine.shape
    turn = np.empty(2 * harmonics)
    for u in range(cases):
        share = damping[u] / base[u]
        for s in range(sections):
            cosine[u, s, 0] = 1.0
            sine_over[u, s, 0] = length[u, s] / stiffness[u, s] * inches
            sine_times[u, s, 0] = 0.0
            if length[u, s] <= 0.0:
                cosine[u, s, :] = 1.0
                sine_over[u, s, :] = 0.0
                sine_times[u, s, :] = 0.0
                continue
            travel, decay, unit, smooth = _section(
                base[u], damping[u], length[u, s], stiffness[u, s], mass[u, s], inches, harmonics
            )
            _turns(smooth, harmonics, travel, turn)
            grown = np.exp(decay)
            shrunk = 1.0 / grown
            for h in range(1, harmonics):
                if h < smooth:
                    e = _rough_entry(h, share, travel, decay, unit)
                else:
                    e = _smooth_entry(
                        h, share, travel, decay, grown, shrunk, unit, turn[2 * h], turn[2 * h + 1]
                    )
                cosine[u, s, h] = complex(e[0], e[1])
                sine_over[u, s, h] = complex(e[2], e[3])
                sine_times[u, s, h] = complex(e[4], e[5])


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def _through(first, last, share, travel, decay, unit, turn, y, t):  # type: ignore[no-untyped-def]
    """Carry one spectrum through one section: smooth harmonics, ``y`` and ``t`` as parts of complex numbers."""
    grown = np.exp(decay)
    shrunk = 1.0 / grown
    # Slices that begin at 0: an index that might be negative keeps the compiler from using vectors.
    y, t, turn = y[2 * first : 2 * last], t[2 * first : 2 * last], turn[2 * first : 2 * last]
    for j in range(len(y) // 2):
        cr, ci, over_r, over_i, times_r, times_i = _smooth_entry(
            float(j + first), share, travel, decay, grown, shrunk, unit, turn[2 * j], turn[2 * j + 1]
        )
        yr, yi, tr, ti = y[2 * j], y[2 * j + 1], t[2 * j], t[2 * j + 1]
        y[2 * j] = cr * yr - ci * yi - over_r * tr + over_i * ti
        y[2 * j + 1] = cr * yi + ci * yr - over_r * ti - over_i * tr
        t[2 * j] = times_r * yr - times_i * yi + cr * tr - ci * ti
        t[2 * j + 1] = times_r * yi + times_i * yr + cr * ti + ci * tr


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def _carry(base, damping, length, stiffness, mass, inches, harmonics, position, tension, below):  # type: ignore[no-untyped-def]
    """Carry spectra (k, 2 h), parts of complex, each down a string of its own (k, s); below sections to ``below`` (k, s, 2 h)."""
    cards = len(position)
    sections = length.shape[1]
    keep = below.shape[1]
    turn = np.empty(2 * harmonics)
    for i in range(cards):
        y = position[i]
        t = tension[i]
        share = damping[i] / base[i]
        for s in range(sections):
            if length[i, s] > 0.0:
                travel, decay, unit, smooth = _section(
                    base[i], damping[i], length[i, s], stiffness[i, s], mass[i, s], inches, harmonics
                )
                y[0] -= length[i, s] / stiffness[i, s] * inches * t[0]
                for h in range(1, smooth):
                    cr, ci, over_r, over_i, times_r, times_i = _rough_entry(h, share, travel, decay, unit)
                    c = complex(cr, ci)
                    yh = complex(y[2 * h], y[2 * h + 1])
                    th = complex(t[2 * h], t[2 * h + 1])
                    yn = c * yh - complex(over_r, over_i) * th
                    tn = complex(times_r, times_i) * yh + c * th
                    y[2 * h], y[2 * h + 1] = yn.real, yn.imag
                    t[2 * h], t[2 * h + 1] = tn.real, tn.imag
                _turns(smooth, harmonics, travel, turn)
                _through(smooth, harmonics, share, travel, decay, unit, turn, y, t)
            if s < keep:
                below[i, s, : 2 * harmonics] = t[: 2 * harmonics]


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def _propagate(case, position, tension, cosine, sine_over, sine_times, below):  # type: ignore[no-untyped-def]
    """Carry spectra (k, h) down the string in place; tension below section s goes to ``below`` (k, s, h)."""
    cards = len(position)
    sections, harmonics = cosine.shape[1:]
    keep = below.shape[1]
    for i in range(cards):
        u = case[i]
        for s in range(sections):
            for h in range(harmonics):
                y = position[i, h]
                t = tension[i, h]
                position[i, h] = cosine[u, s, h] * y - sine_over[u, s, h] * t
                tension[i, h] = sine_times[u, s, h] * y + cosine[u, s, h] * t
            if s < keep:
                below[i, s, :harmonics] = tension[i, :harmonics]


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def _apply(case, position, tension, matrix):  # type: ignore[no-untyped-def]
    """Multiply spectra (k, h) by the whole string's matrices (cases, 4, h) in place."""
    harmonics = matrix.shape[2]
    for i in range(len(position)):
        m = matrix[case[i]]
        for h in range(harmonics):
            y = position[i, h]
            t = tension[i, h]
            position[i, h] = m[0, h] * y + m[1, h] * t
            tension[i, h] = m[2, h] * y + m[3, h] * t


@dataclass(frozen=True)
class Transfer:
    """Section matrices of a set of cases (one case: one string at one speed and damping), ready to be applied.

    Attributes
    ----------
    cosine, sine_over, sine_times : ndarray of complex, shape (cases, sections, harmonics)
        cos kl, sin kl/(EA k) (in/lbf) and EA k sin kl (lbf/in); harmonic 0 is the mean.
    """

    cosine: NDArray[np.complex128]
    sine_over: NDArray[np.complex128]
    sine_times: NDArray[np.complex128]

    @property
    def harmonics(self) -> int:
        """Number of harmonics, the mean included."""
        return int(self.cosine.shape[-1])

    def matrix(self) -> NDArray[np.complex128]:
        """Product of the section matrices, shape (cases, harmonics, 2, 2), acting on (position in, tension lbf)."""
        cases, sections, harmonics = self.cosine.shape
        total = np.broadcast_to(np.eye(2, dtype=np.complex128), (cases, harmonics, 2, 2))
        for s in range(sections):
            step = np.empty((cases, harmonics, 2, 2), dtype=np.complex128)
            step[..., 0, 0] = step[..., 1, 1] = self.cosine[:, s]
            step[..., 0, 1] = -self.sine_over[:, s]
            step[..., 1, 0] = self.sine_times[:, s]
            total = step @ total
        return total


def _check_motion(spm: Array, damping_per_s: Array) -> None:
    if np.any(spm <= 0):
        raise ValueError("spm has to be positive")
    if np.any(damping_per_s < 0):
        raise ValueError("damping_per_s has to be 0 or more")


def transfer(string: RodString, spm: ArrayLike, damping_per_s: ArrayLike, harmonics: int) -> Transfer:
    """Section matrices of strings at their speeds.

    Parameters
    ----------
    string : RodString
        One string, or a batch of one for each case.
    spm : array_like, shape (cases,) or ()
        Strokes a minute.
    damping_per_s : array_like, shape (cases,) or ()
        Damping coefficient c, 1/s (:func:`damping_per_s`).
    harmonics : int
        Number of harmonics, the mean included.

    Returns
    -------
    Transfer
        Matrices of every case.

    Raises
    ------
    ValueError
        When a speed is not positive or a damping negative.
    """
    speed = np.atleast_1d(np.asarray(spm, dtype=np.float64))
    damping = np.atleast_1d(np.asarray(damping_per_s, dtype=np.float64))
    length = np.atleast_2d(string.length_ft)
    cases = max(len(speed), len(damping), len(length))
    sections = length.shape[1]
    _check_motion(speed, damping)

    def spread(value: Array) -> Array:
        return np.ascontiguousarray(np.broadcast_to(value, (cases, sections)))

    out = [np.empty((cases, sections, harmonics), dtype=np.complex128) for _ in range(3)]
    _sections(
        np.ascontiguousarray(np.broadcast_to(speed * (2.0 * np.pi / 60.0), (cases,))),
        np.ascontiguousarray(np.broadcast_to(damping, (cases,))),
        spread(length),
        spread(np.atleast_2d(string.stiffness_lbf)),
        spread(np.atleast_2d(string.weight_lb_per_ft / GRAVITY_FT_PER_S2)),
        INCHES_PER_FOOT,
        *out,
    )
    return Transfer(*out)


def propagate(
    position_in: Array,
    load_lbf: Array,
    matrices: Transfer,
    case: NDArray[np.intp] | None = None,
    *,
    carried_lbf: ArrayLike = 0.0,
    tapers: bool = False,
    chunk: int = _CHUNK,
) -> tuple[Array, Array, Array | None]:
    """Carry cards down the string.

    Parameters
    ----------
    position_in, load_lbf : ndarray, shape (k, n)
        Cards, points equally spaced over one stroke.
    matrices : Transfer
        Section matrices; harmonics above its number are dropped.
    case : ndarray of int, shape (k,), optional
        Which case of ``matrices`` belongs to each card; without it, the first for all.
    carried_lbf : array_like, broadcast to (k,)
        Static load taken off first: buoyant rod weight and load offset.
    tapers : bool
        Whether the dynamic tension at the bottom of each section but the last is wanted too.
    chunk : int
        Cards solved at once.

    Returns
    -------
    position_in, load_lbf : ndarray, shape (k, n)
        Card at the bottom.
    taper_load_lbf : ndarray, shape (k, sections - 1, n), or None
        Dynamic tension at the bottom of each section but the last.
    """
    cards, points = position_in.shape
    # The Nyquist term of an even count has no phase and is dropped.
    kept = min(matrices.harmonics, (points + 1) // 2)
    which = np.zeros(cards, dtype=np.intp) if case is None else np.ascontiguousarray(case, dtype=np.intp)
    sections = matrices.cosine.shape[1]
    arrays = [matrices.cosine, matrices.sine_over, matrices.sine_times]
    if kept < matrices.harmonics:
        arrays = [np.ascontiguousarray(m[..., :kept]) for m in arrays]
    carried = np.broadcast_to(np.asarray(carried_lbf, dtype=np.float64), (cards,))
    whole = None
    if not tapers and 2 * len(arrays[0]) < cards:
        # Many cards to a case: one matrix for the string instead of one for each section.
        product = Transfer(*arrays).matrix().reshape(len(arrays[0]), kept, 4)
        whole = np.ascontiguousarray(product.transpose(0, 2, 1))
    out_position = np.empty_like(position_in)
    out_load = np.empty_like(load_lbf)
    out_taper = np.empty((cards, sections - 1, points)) if tapers else None
    for start in range(0, cards, chunk):
        rows = slice(start, min(start + chunk, cards))
        y, t = np.fft.rfft(position_in[rows]), np.fft.rfft(load_lbf[rows])
        y[:, kept:] = t[:, kept:] = 0.0
        t[:, 0] -= points * carried[rows]
        below = np.zeros((len(y), sections - 1 if tapers else 0, y.shape[1]), dtype=np.complex128)
        if whole is not None:
            _apply(which[rows], y, t, whole)
        else:
            _propagate(which[rows], y, t, arrays[0], arrays[1], arrays[2], below)
        np.fft.irfft(y, points, out=out_position[rows])
        np.fft.irfft(t, points, out=out_load[rows])
        if out_taper is not None:
            np.fft.irfft(below, points, out=out_taper[rows])
    return out_position, out_load, out_taper


def propagate_each(
    position_in: Array,
    load_lbf: Array,
    string: RodString,
    spm: Array,
    damping_per_s: Array,
    harmonics: int,
    *,
    carried_lbf: ArrayLike = 0.0,
    tapers: bool = False,
) -> tuple[Array, Array, Array | None]:
    """Carry cards down strings, each with a speed and damping of its own; no matrices are kept.

    Parameters
    ----------
    position_in, load_lbf : ndarray, shape (k, n)
        Cards, points equally spaced over one stroke.
    string : RodString
        One string for all cards, or a batch of one for each card.
    spm, damping_per_s : ndarray, shape (k,)
        Strokes a minute, damping coefficient c.
    harmonics : int
        Number of harmonics, the mean included.
    carried_lbf, tapers
        As in :func:`propagate`.

    Returns
    -------
    position_in, load_lbf, taper_load_lbf
        As of :func:`propagate`.

    Raises
    ------
    ValueError
        When a speed is not positive or a damping negative.
    """
    cards, points = position_in.shape
    _check_motion(spm, damping_per_s)
    kept = min(harmonics, (points + 1) // 2)
    sections = string.tapers
    carried = np.broadcast_to(np.asarray(carried_lbf, dtype=np.float64), (cards,))
    base = spm * (2.0 * np.pi / 60.0)
    properties = (string.length_ft, string.stiffness_lbf, string.weight_lb_per_ft / GRAVITY_FT_PER_S2)
    length, stiffness, mass = (np.broadcast_to(value, (cards, sections)) for value in properties)
    out_position = np.empty((cards, points))
    out_load = np.empty((cards, points))
    out_taper = np.empty((cards, sections - 1, points)) if tapers else None
    # Buffers are used again and again: fresh memory costs as much as the work on it.
    size = min(_CHUNK, cards)
    buffer = np.empty((2, size, points // 2 + 1), dtype=np.complex128)
    under = np.zeros((size, sections - 1 if tapers else 0, points // 2 + 1), dtype=np.complex128)
    for start in range(0, cards, size):
        rows = slice(start, min(start + size, cards))
        held = rows.stop - start
        y, t, below = buffer[0, :held], buffer[1, :held], under[:held]
        np.fft.rfft(position_in[rows], out=y)
        np.fft.rfft(load_lbf[rows], out=t)
        y[:, kept:] = t[:, kept:] = 0.0
        t[:, 0] -= points * carried[rows]
        _carry(
            base[rows],
            damping_per_s[rows],
            length[rows],
            stiffness[rows],
            mass[rows],
            INCHES_PER_FOOT,
            kept,
            y.view(np.float64),
            t.view(np.float64),
            below.view(np.float64),
        )
        np.fft.irfft(y, points, out=out_position[rows])
        np.fft.irfft(t, points, out=out_load[rows])
        if out_taper is not None:
            np.fft.irfft(below, points, out=out_taper[rows])
    return out_position, out_load, out_taper


def pump_card(
    position_in: ArrayLike,
    load_lbf: ArrayLike,
    string: RodString,
    spm: ArrayLike,
    damping_per_s: ArrayLike,
    *,
    buoyant_weight_lbf: ArrayLike,
    load_offset_lbf: ArrayLike = 0.0,
    true_load: bool = False,
    harmonics: int | None = None,
) -> tuple[Array, Array]:
    """Pump card from a surface card.

    Parameters
    ----------
    position_in, load_lbf : array_like, shape (..., n)
        Surface card in time form: n points equally spaced over one stroke.
    string : RodString
        One string for all cards, or a batch of shape (...).
    spm, damping_per_s, buoyant_weight_lbf, load_offset_lbf : array_like, broadcast to (...)
        Speed, damping coefficient c (1/s), buoyant weight of the string, load offset of the sensor.
    true_load : bool
        Give true instead of effective loads (module docstring).
    harmonics : int, optional
        Number of harmonics used, the mean not counted; all below half the number of points by default.

    Returns
    -------
    position_in, load_lbf : ndarray, shape (..., n)
        Pump card, same points in time, same start.

    Raises
    ------
    ValueError
        When shapes do not fit, fewer than 3 points are given, or a speed or damping is out of range.
    """
    position = np.asarray(position_in, dtype=np.float64)
    load = np.asarray(load_lbf, dtype=np.float64)
    if position.shape != load.shape or position.ndim == 0 or position.shape[-1] < 3:
        raise ValueError(
            f"position {position.shape} and load {load.shape} have to be equal, with 3 points or more"
        )
    points = position.shape[-1]
    batch = position.shape[:-1]
    cards = int(np.prod(batch))

    def column(value: ArrayLike) -> Array:
        return np.ascontiguousarray(np.broadcast_to(np.asarray(value, dtype=np.float64), batch)).reshape(
            cards
        )

    limit = (points + 1) // 2
    count = limit if harmonics is None else min(harmonics + 1, limit)
    speed, damping = column(spm), column(damping_per_s)
    if string.batch_shape:
        flat = RodString(*(getattr(string, name).reshape(-1, string.tapers) for name in _STRING_FIELDS))
        rows = np.broadcast_to(np.arange(len(flat.length_ft)).reshape(string.batch_shape), batch).reshape(
            cards
        )
        table = np.stack([speed, damping, rows], axis=1)
        _, first, case = np.unique(table, axis=0, return_index=True, return_inverse=True)
    else:
        _, first, case = np.unique(speed + 1j * damping, return_index=True, return_inverse=True)
    cases = flat.take(rows[first]) if string.batch_shape else string
    carried = column(buoyant_weight_lbf) + column(load_offset_lbf)
    flat_position, flat_load = position.reshape(cards, points), load.reshape(cards, points)
    if 2 * len(first) < cards:
        matrices = transfer(cases, speed[first], damping[first], count)
        bottom_position, bottom_load, _ = propagate(
            flat_position, flat_load, matrices, np.ravel(case).astype(np.intp), carried_lbf=carried
        )
    else:
        own = flat.take(rows) if string.batch_shape else string
        bottom_position, bottom_load, _ = propagate_each(
            flat_position, flat_load, own, speed, damping, count, carried_lbf=carried
        )
    if true_load:
        buoyancy = np.broadcast_to(string.air_weight_lbf, batch).reshape(cards) - column(buoyant_weight_lbf)
        bottom_load -= buoyancy[:, None]
    return bottom_position.reshape(position.shape), bottom_load.reshape(position.shape)
