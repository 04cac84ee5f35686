"""Functions that Numba compiles, with their types kept for readers and type checkers.

Belongs here: the one decorator. Numba ships no types, and what it returns would hide the signatures that stand in the code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function on its first call, keep the machine code beside it, and let other threads run meanwhile.

    Parameters
    ----------
    function : callable
        Of arrays and numbers. Its annotations are for people; Numba takes the types of the call.

    Returns
    -------
    callable
        With the same signature.
    """
    return cast(Function, numba.njit(cache=True, nogil=True)(function))
