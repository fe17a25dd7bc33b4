"""Benchmarks: the platform with everything on against a bare pipe of the same parts."""
