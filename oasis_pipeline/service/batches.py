"""STUB until the iot computation arrives."""

from oasis_pipeline.service.errors import ApiError


def batches(request):
    raise ApiError(400, "not yet")
