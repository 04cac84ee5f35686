"""What stands where.

Here: the parts of the service. Not here: views.
"""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from oasis_pipeline.service import metrics
from oasis_pipeline.service.api import api

urlpatterns = [
    path("", include("oasis_pipeline.service.pages.urls")),
    path("admin/", admin.site.urls),
    path("api/", api.urls),
    path("metrics", metrics.show),
]

handler400 = "oasis_pipeline.service.pages.entry.bad_request"
handler403 = "oasis_pipeline.service.pages.entry.forbidden"
handler404 = "oasis_pipeline.service.pages.entry.not_found"
handler500 = "oasis_pipeline.service.pages.entry.failed"
