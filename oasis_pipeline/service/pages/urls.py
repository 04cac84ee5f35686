"""Paths of the pages.

Here: which view answers where. Not here: the API and the administration site (``service.urls``).
"""

from __future__ import annotations

from django.contrib.auth.views import LogoutView
from django.urls import path
from django.views.generic import RedirectView

from oasis_pipeline.service.pages import alarms, alerts, analysis, entry, field, label, models, sensors, well

urlpatterns = [
    path("", field.show),
    path("alarms", alarms.show),
    path("alarms/decide", alarms.decide),
    path("alerts", alerts.show),
    path("analysis", analysis.show),
    path("label", label.show),
    path("label/guide", label.show_guide),
    path("label/agreement", label.show_agreement),
    path("label/undo", label.undo),
    path("label/ask", label.ask),
    path("models", models.show),
    path("models/drift", models.show_drift),
    path("models/use", models.use),
    path("sensors", sensors.show),
    path("well/<path:node>", well.show),
    path("note/<path:node>", well.write_note),
    path("ready", entry.ready),
    path("ready/", entry.ready),
    path("favicon.ico", RedirectView.as_view(url="/static/pages/icon.svg")),
    path("auth/dagster", entry.may_use_dagster),
    path("login/", entry.Login.as_view()),
    path("logout/", LogoutView.as_view()),
]
