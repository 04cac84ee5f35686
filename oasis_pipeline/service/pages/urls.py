"""Paths of the pages.

Here: which view answers where. Not here: the API and the administration site (``service.urls``).
"""

from __future__ import annotations

from django.contrib.auth.views import LogoutView
from django.urls import path
from django.views.generic import RedirectView

from oasis_pipeline.service.pages import entry, field

urlpatterns = [
    path("", field.show),
    path("ready", entry.ready),
    path("ready/", entry.ready),
    path("favicon.ico", RedirectView.as_view(url="/static/pages/icon.svg")),
    path("login/", entry.Login.as_view()),
    path("logout/", LogoutView.as_view()),
]
