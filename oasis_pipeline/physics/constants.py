"""Physical constants and unit conversions in field units.

Belongs here: numbers with a name, a unit and a source. What depends on a well, a rod or a fluid does not.
Lengths along the string are in ft, positions and diameters in in, loads in lbf, pressures in psi, weights of
rods in lbf per ft (numerically lbm per ft at standard gravity).
"""

import math

INCHES_PER_FOOT = 12.0
SECONDS_PER_MINUTE = 60.0
MINUTES_PER_DAY = 1440.0
SECONDS_PER_DAY = 86_400.0

GRAVITY_FT_PER_S2 = 32.174
"""Standard gravity; also gc in lbm ft / (lbf s2), the number that turns a weight into a mass."""

CUBIC_INCHES_PER_BARREL = 42 * 231.0
"""A barrel is 42 US gallons of 231 cubic inches each: 9,702 cubic inches."""
BPD_PER_CUBIC_INCH_PER_MINUTE = MINUTES_PER_DAY / CUBIC_INCHES_PER_BARREL
BPD_PER_CUBIC_INCH_PER_SECOND = SECONDS_PER_DAY / CUBIC_INCHES_PER_BARREL

PUMP_CONSTANT_BPD = math.pi / 4.0 * BPD_PER_CUBIC_INCH_PER_MINUTE
"""Pump displacement in bbl/d = this times stroke (in) times SPM times diameter (in) squared: 0.116571."""

INCH_POUNDS_PER_MINUTE_PER_HP = 396_000.0
"""One horsepower is 33,000 ft lbf/min, so polished-rod power is card area times SPM over this."""

WATER_DENSITY_LB_PER_FT3 = 62.4
WATER_GRADIENT_PSI_PER_FT = WATER_DENSITY_LB_PER_FT3 / 144.0
"""Hydrostatic gradient of fresh water, 0.4333 psi/ft (0.433 in most hand calculations)."""
STANDARD_PRESSURE_PSI = 14.7
"""Atmospheric pressure: gauge plus this is absolute. The gas law wants absolute pressures."""

STEEL_DENSITY_LB_PER_FT3 = 490.0
STEEL_MODULUS_PSI = 30.5e6
FIBERGLASS_MODULUS_PSI = 7.2e6
FIBERGLASS_DENSITY_LB_PER_FT3 = 128.0
"""Apparent density of a fibreglass rod with its steel end fittings; bodies alone are lighter."""
