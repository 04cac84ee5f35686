"""What stands where.

Here: paths. Not here: views.
"""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.urls import path
from django.views.generic import RedirectView

from oasis_pipeline.service import pages
from oasis_pipeline.service.api import api

urlpatterns = [
    path("", pages.home),
    path("ready", pages.ready),
    path("ready/", pages.ready),
    path("favicon.ico", RedirectView.as_view(url="/static/ninja/favicon.png")),
    path("login/", pages.Login.as_view()),
    path("logout/", LogoutView.as_view()),
    path("admin/", admin.site.urls),
    path("api/", api.urls),
]

handler400 = pages.bad_request
handler403 = pages.forbidden
handler404 = pages.not_found
handler500 = pages.failed
