"""Rod-pump physics: rods, pumping unit, fluids, wave equation, diagnosis and the predictive model.

Pure functions on arrays of any batch shape, NumPy and Numba only. What reads files, tables or vendor column
names does not belong here.
"""
