"""Simulated wells as the diagnosis is told of them: what stands in the well file.

Belongs here: the step from a field's equipment to `Well`. Does not belong here: anything that only the simulator knows.
"""

from __future__ import annotations

from oasis_pipeline.physics.diagnosis import Well
from oasis_pipeline.physics.well_path import Survey
from oasis_pipeline.simulation.equipment import Wells, survey


def recorded_wells(wells: Wells) -> list[Well]:
    """Return the wells of a simulated field as their files describe them.

    Parameters
    ----------
    wells : Wells
        Of n wells.

    Returns
    -------
    list of Well
        In the same order.
    """
    found = []
    for i in range(len(wells)):
        path = None
        if wells.inclination_deg[i] > 0:
            depth, kickoff = float(wells.depth_ft[i]), float(wells.kickoff_ft[i])
            md, inclination, azimuth, _ = survey(depth, kickoff, float(wells.inclination_deg[i]))
            path = Survey(md, inclination, azimuth)
        found.append(
            Well(
                rods=wells.rods.take(i),
                unit=wells.unit.take(i),
                plunger_diameter_in=float(wells.plunger_diameter_in[i]),
                clearance_in=float(wells.plunger_clearance_in[i]),
                pump_depth_ft=float(wells.depth_ft[i]),
                fluid_sg=float(wells.fluid_gravity[i]),
                viscosity_cp=float(wells.viscosity_cp[i]),
                tubing_pressure_psi=float(wells.tubing_pressure_psi[i]),
                casing_pressure_psi=float(wells.casing_pressure_psi[i]),
                tubing_anchored=bool(wells.tubing_anchored[i]),
                tubing_od_in=float(wells.tubing_od_in[i]),
                tubing_id_in=float(wells.tubing_id_in[i]),
                survey=path,
            )
        )
    return found
