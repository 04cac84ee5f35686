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


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def _sections(omega, damping, length, stiffness, mass, cosine, sine_over, sine_times):  # type: ignore[no-untyped-def]
    """Entries of the section matrices: omega (u, h), the others (u,) or (u, s); results (u, s, h), complex."""
    cases, harmonics = omega.shape
    sections = length.shape[1]
    for u in range(cases):
        for s in range(sections):
            if length[u, s] <= 0.0:
                cosine[u, s, :] = 1.0
                sine_over[u, s, :] = 0.0
                sine_times[u, s, :] = 0.0
                continue
            slowness = np.sqrt(mass[u, s] / stiffness[u, s])
            for h in range(harmonics):
                w = omega[u, h]
                if w == 0.0:
                    cosine[u, s, h] = 1.0
                    sine_over[u, s, h] = length[u, s] / stiffness[u, s]
                    sine_times[u, s, h] = 0.0
                    continue
                # k = slowness sqrt(w^2 - i w c) = p - i q with p, q > 0
                modulus = w * np.sqrt(w * w + damping[u] * damping[u])
                p = slowness * np.sqrt(0.5 * (modulus + w * w))
                q = 0.5 * slowness * slowness * w * damping[u] / p
                a = p * length[u, s]
                b = q * length[u, s]
                grow = np.exp(b)
                shrink = 1.0 / grow
                ch = 0.5 * (grow + shrink)
                sh = 0.5 * (grow - shrink) if b > 1e-3 else b * (1.0 + b * b / 6.0)
                ca = np.cos(a)
                sa = np.sin(a)
                cosine[u, s, h] = complex(ca * ch, sa * sh)
                sine = complex(sa * ch, -ca * sh)
                eak = stiffness[u, s] * complex(p, -q)
                sine_over[u, s, h] = sine / eak
                sine_times[u, s, h] = sine * eak


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
        cos kl, sin kl/(EA k) and EA k sin kl; harmonic 0 is the mean.
    """

    cosine: NDArray[np.complex128]
    sine_over: NDArray[np.complex128]
    sine_times: NDArray[np.complex128]

    @property
    def harmonics(self) -> int:
        """Number of harmonics, the mean included."""
        return int(self.cosine.shape[-1])

    def matrix(self) -> NDArray[np.complex128]:
        """Product of the section matrices, shape (cases, harmonics, 2, 2), acting on (position ft, tension lbf)."""
        cases, sections, harmonics = self.cosine.shape
        total = np.broadcast_to(np.eye(2, dtype=np.complex128), (cases, harmonics, 2, 2))
        for s in range(sections):
            step = np.empty((cases, harmonics, 2, 2), dtype=np.complex128)
            step[..., 0, 0] = step[..., 1, 1] = self.cosine[:, s]
            step[..., 0, 1] = -self.sine_over[:, s]
            step[..., 1, 0] = self.sine_times[:, s]
            total = step @ total
        return total


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
    if np.any(speed <= 0):
        raise ValueError("spm has to be positive")
    if np.any(damping < 0):
        raise ValueError("damping_per_s has to be 0 or more")

    def spread(value: Array) -> Array:
        return np.ascontiguousarray(np.broadcast_to(value, (cases, sections)))

    omega = np.ascontiguousarray(
        np.broadcast_to(speed[:, None] * (2.0 * np.pi / 60.0), (cases, 1)) * np.arange(harmonics)
    )
    out = [np.empty((cases, sections, harmonics), dtype=np.complex128) for _ in range(3)]
    _sections(
        omega,
        np.ascontiguousarray(np.broadcast_to(damping, (cases,))),
        spread(length),
        spread(np.atleast_2d(string.stiffness_lbf)),
        spread(np.atleast_2d(string.weight_lb_per_ft / GRAVITY_FT_PER_S2)),
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
    # Matrices act on feet; scaled so, they act on inches.
    scaled = (
        (matrices.cosine, 1.0),
        (matrices.sine_over, INCHES_PER_FOOT),
        (matrices.sine_times, 1.0 / INCHES_PER_FOOT),
    )
    arrays = [np.ascontiguousarray(m[..., :kept]) * scale for m, scale in scaled]
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
    matrices = transfer(cases, speed[first], damping[first], count)

    weight = column(buoyant_weight_lbf) + column(load_offset_lbf)
    bottom_position, bottom_load, _ = propagate(
        position.reshape(cards, points),
        load.reshape(cards, points),
        matrices,
        np.ravel(case).astype(np.intp),
        carried_lbf=weight,
    )
    if true_load:
        buoyancy = np.broadcast_to(string.air_weight_lbf, batch).reshape(cards) - column(buoyant_weight_lbf)
        bottom_load -= buoyancy[:, None]
    return bottom_position.reshape(position.shape), bottom_load.reshape(position.shape)
