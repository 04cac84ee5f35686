"""The first page after log-in: the field."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase

from oasis_pipeline.service.pages.shared import page, render_page


@page("tables")
def show(request: HttpRequest) -> HttpResponseBase:
    """Show where to go."""
    return render_page(request, "pages/field.html", {"title": "Field"})
