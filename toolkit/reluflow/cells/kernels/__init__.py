"""The loops of exact cells, in numba: polygons are cut, maps are added up."""
