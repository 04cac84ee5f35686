"""Columns of text to columns of values.

Here: what a text means as a number, whole number, flag, time or well, for a whole column at once, and what is wrong
with it where it means nothing. Not here: files (``files``), cards (``blobs``), and rules that tie columns together
(``rules``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

NULLS = ("", "null", "na", "nan", "none", "(null)", r"\n", "#n/a", "1.#qnan", "-1.#qnan", "1.#ind", "-1.#ind")
"""Texts that mean: no value (after trimming, in any case); among them what psql, Excel and programs of Windows write for it."""
_NULL_SET = pa.array(NULLS)
_LONGEST_NULL = max(len(text) for text in NULLS)
MAX_NODE_LENGTH = 200
NO_NUMBER = "is not a number"
HAS_COMMA = "has a comma; numbers have a decimal point and no separators of thousands"
_EXACT_INTEGER = float(2**53)

_TRUE = pa.array(["true", "t", "yes", "y", "1", "-1", "1.0"])
_FALSE = pa.array(["false", "f", "no", "n", "0", "0.0"])
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_INFINITY = r"^[+-]?(?i:inf|infinity|1\.#inf0*)$"
_NAN = r"^[+-]?(?i:nan|1\.#(?:qnan|snan|ind)0*)$"
_COMMA = r"^[+-]?\d+(?:[.,]\d+)*,\d+$"
_CLOCK = r"(?P<h>\d{1,2}):(?P<mi>\d{2})(?::(?P<s>\d{2})(?:[.,](?P<f>\d{1,9}))?)?"
_ISO = r"^(?P<y>\d{4})-(?P<mo>\d{2})-(?P<d>\d{2})(?:(?:[Tt]| +)" + _CLOCK + r")?$"
_US = r"^(?P<mo>\d{1,2})/(?P<d>\d{1,2})/(?P<y>\d{4})(?: +" + _CLOCK + r"(?: *(?P<ap>[AaPp])[Mm])?)?$"
_YEAR_FIRST = r"^(?P<y>\d{4})/(?P<mo>\d{1,2})/(?P<d>\d{1,2})(?:(?:T| +)" + _CLOCK + r")?$"
_NAMED_MONTH = (
    r"^(?P<month>[A-Za-z]{3}) +(?P<d>\d{1,2}) +(?P<y>\d{4})(?: +"
    + _CLOCK.replace("[.,]", "[.,:]")
    + r"(?: *(?P<ap>[AaPp])[Mm])?)?$"
)
"""As SQL Server turns a time into text by itself."""
_MONTHS = pa.array(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"])
_SPACES = "[\u00a0\u2007\u2009\u202f]"
"""Blanks that are no plain ones: Excel and newer Windows write them before AM, web pages anywhere."""
_EPOCH = r"^\d{9,10}(?:\.\d{1,9})?$|^\d{12,13}(?:\.\d{1,6})?$"
_FIRST_EPOCH_S = 946_684_800  # 2000: what is smaller as milliseconds is larger as seconds
_LAST_EPOCH_S = 10_000_000_000
_QUARTER_MS = 900_000
_EPOCH_START = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_FIRST_MOMENT_S, _LAST_MOMENT_S = -62_135_424_000, 253_402_128_000
"""Two days inside of what a datetime can be, so that a time can be told in any zone."""
_OFFSET = r"^(?P<t>.*\d:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?) ?(?P<z>[Zz]|[+-]\d{2}(?::?\d{2})?)$"
_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


class Faults:
    """What is wrong with the rows of a chunk, reason by reason.

    Nothing is made for a single row before its reason is asked for: a file may have millions of rows with a fault.

    Parameters
    ----------
    rows : int
        Number of rows.

    Attributes
    ----------
    bad : ndarray of bool, shape (rows,)
        Rows with any fault.
    """

    def __init__(self, rows: int) -> None:
        self.bad: NDArray[np.bool_] = np.zeros(rows, np.bool_)
        self._found: list[tuple[str, str, NDArray[np.bool_], pa.Array | None]] = []

    def add(self, where: NDArray[np.bool_], column: str, what: str, texts: pa.Array | None = None) -> None:
        """Note a fault.

        Parameters
        ----------
        where : ndarray of bool, shape (rows,)
            Rows that have it.
        column : str
            Column it stands in.
        what : str
            A clause that goes after the column's name (and the text, if given).
        texts : pyarrow.Array, optional
            The column as it came, to show the text in the reason.
        """
        if not where.any():
            return
        self.bad |= where
        self._found.append((column, what, where, texts))

    def take(self, others: Faults) -> None:
        """Note all faults of another collection over the same rows."""
        self.bad |= others.bad
        self._found += others._found

    def kinds(self) -> list[tuple[str, NDArray[np.bool_]]]:
        """List each fault without the texts, and the rows that have it."""
        return [(f"{column}: {what}", where) for column, what, where, _ in self._found]

    def reason(self, row: int, most: int = 20) -> str:
        """Return what is wrong with a row, at most so many clauses."""
        own = [each for each in self._found if each[2][row]]
        clauses = [
            f"{column}:{f' {_shown(texts[row].as_py())}' if texts is not None else ''} {what}"
            for column, what, _, texts in own[:most]
        ]
        return "; ".join([*clauses, *([f"and {len(own) - most} more"] if len(own) > most else [])])


def _shown(text: object, longest: int = 60) -> str:
    shown = str(text).replace("\x00", "\ufffd")
    return f"'{shown[:longest]}...'" if len(shown) > longest else f"'{shown}'"


def as_mask(mask: pa.Array) -> NDArray[np.bool_]:
    """Turn an Arrow mask into a NumPy one; null counts as False."""
    filled = pc.fill_null(mask, False)
    return np.asarray(filled.to_numpy(zero_copy_only=False), dtype=np.bool_)


def null_texts(text: pa.Array) -> NDArray[np.bool_]:
    """Tell which texts mean that there is no value.

    Parameters
    ----------
    text : pyarrow.StringArray, shape (n,)

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    if text.null_count == len(text):
        return np.ones(len(text), np.bool_)
    trimmed = pc.utf8_trim_whitespace(text)
    # Most texts are longer than any null text, and a card's blob is long: only the short ones are lower-cased.
    short = as_mask(pc.less_equal(pc.binary_length(trimmed), _LONGEST_NULL))
    result = as_mask(pc.is_null(text))
    at = np.flatnonzero(short)
    result[at] = as_mask(pc.is_in(pc.utf8_lower(trimmed.take(pa.array(at))), value_set=_NULL_SET))
    return result


def tidy(text: pa.Array) -> pa.Array:
    """Trim texts and turn those that mean no value into null."""
    return pc.if_else(pa.array(null_texts(text)), pa.scalar(None, pa.string()), pc.utf8_trim_whitespace(text))


def plain_spaces(text: pa.Array) -> pa.Array:
    """Turn no-break and narrow spaces into plain ones."""
    if pc.all(pc.string_is_ascii(text), min_count=0).as_py():
        return text
    return pc.replace_substring_regex(text, _SPACES, " ")


def parse_text(text: pa.Array, column: str, faults: Faults) -> pa.Array:
    """Keep texts as they came, null texts aside; PostgreSQL can't hold a NUL character."""
    faults.add(as_mask(pc.match_substring(text, "\x00")), column, "contains a NUL character", text)
    return pc.if_else(pa.array(null_texts(text)), pa.scalar(None, pa.string()), text)


def _as_floats(text: pa.Array) -> pa.Array | None:
    """Read texts that are all numbers or null; None where one is not."""
    try:
        return pc.cast(text, pa.float64())
    except pa.ArrowInvalid:
        return None


def parse_numbers(text: pa.Array, column: str, faults: Faults) -> pa.Array:
    """Read a column of numbers.

    Parameters
    ----------
    text : pyarrow.StringArray, shape (n,)
    column : str
        For the reasons.
    faults : Faults
        Gets a reason for every text that is not a valid number, and for infinity.

    Returns
    -------
    pyarrow.DoubleArray, shape (n,)
        Null where there is no value or a fault.
    """
    if text.null_count == len(text):
        return pa.nulls(len(text), pa.float64())
    # most columns hold numbers and gaps, and nothing that needs tidying
    tidied, values = text, _as_floats(text)
    if values is None:
        tidied = tidy(text)
        values = _as_floats(tidied)
    if values is None:
        good = as_mask(pc.match_substring_regex(tidied, _NUMBER))
        endless = as_mask(pc.match_substring_regex(tidied, _INFINITY))
        faults.add(endless, column, "is infinite", text)
        empty = as_mask(pc.match_substring_regex(tidied, _NAN))
        comma = as_mask(pc.match_substring_regex(tidied, _COMMA))
        faults.add(comma, column, HAS_COMMA, text)
        wrong = ~good & ~endless & ~empty & ~comma & as_mask(pc.is_valid(tidied))
        faults.add(wrong, column, NO_NUMBER, text)
        plain = pc.utf8_ltrim(pc.if_else(pa.array(good), tidied, pa.scalar(None, pa.string())), "+")
        values = pc.cast(plain, pa.float64())
    faults.add(as_mask(pc.is_inf(values)), column, "is infinite", text)
    # What Arrow alone takes for NaN ("-nan") is as empty as NaN itself.
    usable = as_mask(pc.is_finite(values))
    return pc.if_else(pa.array(usable), pc.add(values, 0.0), pa.scalar(None, pa.float64()))


def parse_integers(text: pa.Array, column: str, faults: Faults) -> pa.Array:
    """Read a column of whole numbers, ``3`` and ``3.0`` alike.

    Parameters and result as in :func:`parse_numbers`, but pyarrow.Int64Array.
    """
    values = parse_numbers(text, column, faults)
    broken = as_mask(pc.not_equal(values, pc.trunc(values))) | as_mask(
        pc.greater(pc.abs(values), _EXACT_INTEGER)
    )
    faults.add(broken, column, "is not a whole number", text)
    return pc.cast(pc.if_else(pa.array(broken), pa.scalar(None, pa.float64()), values), pa.int64())


def parse_flags(text: pa.Array, column: str, faults: Faults) -> pa.Array:
    """Read a column of flags: true, yes, t, y, 1, -1 and false, no, f, n, 0, in any case.

    Parameters and result as in :func:`parse_numbers`, but pyarrow.BooleanArray.
    """
    tidied = tidy(text)
    lower = pc.utf8_lower(tidied)
    true, false = as_mask(pc.is_in(lower, value_set=_TRUE)), as_mask(pc.is_in(lower, value_set=_FALSE))
    faults.add(~true & ~false & as_mask(pc.is_valid(tidied)), column, "is neither true nor false", text)
    return pc.if_else(pa.array(true | false), pa.array(true), pa.scalar(None, pa.bool_()))


def parse_times(text: pa.Array, column: str, faults: Faults, zone: tzinfo = UTC) -> pa.Array:
    """Read a column of local times; the clock may be absent.

    ISO, also with slashes; ``m/d/yyyy h:mm[:ss] [AM|PM]``; ``Jan  5 2025  7:00AM``. A time with a zone offset or Z is converted to
    the local time of `zone`. Digits beyond the millisecond are cut, so that no time moves into the next minute.

    Parameters and result as in :func:`parse_numbers`, but pyarrow timestamps in ms.
    """
    tidied = plain_spaces(tidy(text))
    result, good = _read_clock(tidied, digits=3)
    wrong = ~good & as_mask(pc.is_valid(tidied))
    if wrong.any():
        at = np.flatnonzero(wrong)
        moments, zoned = _read_zoned(tidied.take(pa.array(at)), digits=3)
        result[at[zoned]] = _to_local(moments[zoned], zone)
        good[at[zoned]] = True
        faults.add(wrong & ~good, column, "is not a date (ISO or m/d/yyyy h:mm[:ss] [AM|PM])", text)
    return pa.array(result, mask=~good).cast(pa.timestamp("ms"))


def parse_utc_times(text: pa.Array, column: str, faults: Faults) -> pa.Array:
    """Read a column of UTC times: as `parse_times`, without a zone offset they are UTC already; also seconds or milliseconds since 1970.

    Parameters and result as in :func:`parse_numbers`, but pyarrow timestamps in us, UTC; further digits are cut.
    """
    tidied = plain_spaces(tidy(text))
    result, good = _read_clock(tidied, digits=6)
    for read in (_read_zoned, _read_epoch):
        at = np.flatnonzero(~good & as_mask(pc.is_valid(tidied)))
        if at.size:
            moments, real = read(tidied.take(pa.array(at)), 6)
            result[at[real]], good[at[real]] = moments[real], True
    faults.add(
        ~good & as_mask(pc.is_valid(tidied)),
        column,
        "is not a time (ISO, with or without a zone offset, m/d/yyyy h:mm[:ss] [AM|PM], or seconds or milliseconds since 1970)",
        text,
    )
    return pa.array(result, mask=~good).cast(pa.timestamp("us", tz="UTC"))


def epoch_microseconds(number: float) -> int | None:
    """Read seconds or milliseconds since 1970; which of the two it is its size tells.

    Parameters
    ----------
    number : float or int

    Returns
    -------
    int or None
        Microseconds since 1970; None for what would lie before 2000, or beyond 2286.
    """
    if _FIRST_EPOCH_S <= number < _LAST_EPOCH_S:
        return round(number * 1_000_000)
    if _FIRST_EPOCH_S * 1000 <= number < _LAST_EPOCH_S * 1000:
        return round(number * 1000)
    return None


def _read_epoch(texts: pa.Array, digits: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Times of texts that are seconds or milliseconds since 1970, as `_read_clock` gives them, and which texts are that."""
    digit = pc.match_substring_regex(texts, _EPOCH)
    numbers = pc.cast(pc.if_else(digit, texts, pa.scalar(None, pa.string())), pa.float64())
    plain = np.nan_to_num(np.asarray(numbers.to_numpy(zero_copy_only=False), np.float64))
    seconds = (plain >= _FIRST_EPOCH_S) & (plain < _LAST_EPOCH_S)
    good = seconds | ((plain >= _FIRST_EPOCH_S * 1000) & (plain < _LAST_EPOCH_S * 1000))
    microseconds = np.rint(np.where(good, plain * np.where(seconds, 1_000_000, 1000), 0)).astype(np.int64)
    return microseconds // 10 ** (6 - digits), good


def _read_zoned(texts: pa.Array, digits: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """UTC times of texts with a zone offset, as `_read_clock` gives them, and which texts are that."""
    parts = pc.extract_regex(texts, _OFFSET)
    result, good = _read_clock(pc.struct_field(parts, "t"), digits)
    zoned = np.flatnonzero(good)
    if zoned.size:
        offset = pc.struct_field(parts, "z").take(pa.array(zoned))
        plain = pc.replace_substring_regex(pc.replace_substring_regex(offset, "[Zz]", "+0000"), "[:+-]", "")
        number = pc.cast(pc.utf8_rpad(plain, 4, "0"), pa.int64()).to_numpy()
        minutes = number // 100 * 60 + number % 100
        good[zoned] &= (minutes <= 18 * 60) & (number % 100 < 60)
        sign = np.where(as_mask(pc.starts_with(offset, "-")), -1, 1)
        result[zoned] -= sign * minutes * 60 * 10**digits
    good &= (result >= _FIRST_MOMENT_S * 10**digits) & (result < _LAST_MOMENT_S * 10**digits)
    return result, good


def _to_local(moments_ms: NDArray[np.int64], zone: tzinfo) -> NDArray[np.int64]:
    """Local times of UTC times; zones change at whole quarters of an hour only."""
    if zone is UTC or not moments_ms.size:
        return moments_ms
    quarters, which = np.unique(moments_ms // _QUARTER_MS, return_inverse=True)
    moments = [_EPOCH_START + timedelta(seconds=quarter * 900) for quarter in quarters.tolist()]
    shift = np.array(
        [(each.astimezone(zone).utcoffset() or timedelta()) // _MILLISECOND for each in moments], np.int64
    )
    return np.asarray(moments_ms + shift[which], np.int64)


def _read_clock(tidied: pa.Array, digits: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Times since 1970 in 10^-digits seconds of texts without an offset, and which texts are times."""
    result = np.zeros(len(tidied), np.int64)
    good = np.zeros(len(tidied), np.bool_)
    if tidied.null_count < len(tidied):
        for pattern in (_ISO, _US, _YEAR_FIRST, _NAMED_MONTH):
            rest = np.flatnonzero(~good & as_mask(pc.is_valid(tidied)))
            if rest.size:
                parts = pc.extract_regex(tidied.take(pa.array(rest)), pattern)
                values, real = _since_1970(parts, digits)
                result[rest[real]], good[rest[real]] = values[real], True
    return result, good


def _since_1970(parts: pa.StructArray, digits: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Time since 1970 of matched texts in 10^-digits seconds, and which of them are real times."""
    real = as_mask(pc.is_valid(parts))
    names = [field.name for field in parts.type]

    def number(name: str, missing: str) -> NDArray[np.int64]:
        column = pc.struct_field(parts, name)
        column = pc.if_else(pc.equal(pc.binary_length(column), 0), missing, column)
        return np.asarray(pc.cast(pc.fill_null(column, missing), pa.int64()).to_numpy(), np.int64)

    year, day = number("y", "1970"), number("d", "1")
    if "month" in names:
        found = pc.index_in(pc.utf8_lower(pc.struct_field(parts, "month")), value_set=_MONTHS)
        month = np.asarray(pc.fill_null(pc.cast(found, pa.int64()), -1).to_numpy(), np.int64) + 1
    else:
        month = number("mo", "1")
    hour, minute, second = number("h", "0"), number("mi", "0"), number("s", "0")
    fraction = pc.utf8_slice_codeunits(
        pc.utf8_rpad(pc.fill_null(pc.struct_field(parts, "f"), ""), digits, "0"), 0, digits
    )
    part = np.asarray(pc.cast(fraction, pa.int64()).to_numpy(), np.int64)
    if "ap" in names:
        half = pc.utf8_lower(pc.fill_null(pc.struct_field(parts, "ap"), ""))
        twelve = as_mask(pc.not_equal(half, ""))
        real &= ~twelve | ((hour >= 1) & (hour <= 12))
        hour = np.where(twelve, hour % 12 + 12 * as_mask(pc.equal(half, "p")), hour)
    leap = (month == 2) & (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    real &= (year >= 1) & (month >= 1) & (month <= 12) & (hour <= 23) & (minute <= 59) & (second <= 59)
    real &= (day >= 1) & (day <= _DAYS[np.clip(month, 1, 12) - 1] + leap)
    # The reals only: the others may lie beyond what datetime64 can count.
    months = np.where(real, (year - 1970) * 12 + np.clip(month, 1, 12) - 1, 0)
    days = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) + day - 1
    return ((days * 24 + hour) * 3600 + minute * 60 + second) * 10**digits + part, real


def clean_node(text: str) -> str:
    """Clean one NodeID: ``#`` removed, runs of white space collapsed, ends trimmed.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        Empty if there is no well in it.
    """
    if text.strip().lower() in NULLS:
        return ""
    cleaned = " ".join(text.replace("#", "").split())
    return "" if cleaned.lower() in NULLS else cleaned


def node_key(cleaned: str) -> str:
    """Key by which spellings of one well are matched: without regard to case."""
    return cleaned.casefold()


def parse_nodes(text: pa.Array, column: str, faults: Faults) -> pa.Array:
    """Clean a column of NodeIDs.

    Parameters and result as in :func:`parse_numbers`, but pyarrow.StringArray.
    """
    coded = pc.dictionary_encode(text)
    cleaned: Sequence[str] = [clean_node(value or "") for value in coded.dictionary.to_pylist()]
    unusable = np.array(["\x00" in value or len(value) > MAX_NODE_LENGTH for value in cleaned], np.bool_)
    values: list[str | None] = [
        value if value and not wrong else None for value, wrong in zip(cleaned, unusable, strict=True)
    ]
    if unusable.any():
        codes = np.asarray(pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False), np.int64)
        faults.add(
            (codes >= 0) & unusable[codes],
            column,
            f"has a NUL character or over {MAX_NODE_LENGTH} characters",
            text,
        )
    return pa.array(values, pa.string()).take(coded.indices)
