"""What is stale, and what makes it: the plan of a pass, jobs, schedules and sensors.

Not here: how an asset is made (``assets``), and the files' way in (``intake``).
"""
