"""The one error of the service: an http status and a reason.

Here: `ApiError` and its JSON. Not here: where it is raised and caught.
"""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """What is wrong with a request.

    Parameters
    ----------
    status : int
        Of http.
    reason : str
        One sentence that says what is wrong and what would be right.
    headers : dict of str to str, optional
        Further headers of the answer.
    **more
        Further fields of the JSON answer.
    """

    def __init__(
        self, status: int, reason: str, *, headers: dict[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers or {}
        self.more = more

    def body(self) -> dict[str, Any]:
        """The answer's JSON."""
        return {"reason": self.reason, **self.more}
