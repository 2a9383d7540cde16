"""Whether two trees are equal: exact arithmetic, values at sample points, relations, sets."""
