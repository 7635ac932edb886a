"""The functions of a site on pieces of its interval, in Bernstein's form.

A polynomial sum_a c_a B_a(t) on a piece is a mean of its coefficients, the weights B_a(t) being
positive and of sum one: it is nowhere below the smallest of them. So bounds that hold for
coefficients hold for every value of a column (Farouki, "The Bernstein polynomial basis: a
centennial retrospective", Computer Aided Geometric Design 29, 2012).
"""

from dataclasses import replace

import numpy as np
from scipy.special import comb

from sktn.tables.basis import embed

# Pieces of an interval, beside those where a function is clipped: the gap between coefficients and
# values falls as the square of their number.
_PIECES = 16
# What interpolation may miss, relative to the largest value.
_ROUNDING = 1e-6


def places_of(basis, site):
    """Vectors in whose convex hull the vectors of a site are, whatever the value of its column:
    Bernstein coefficients of a numeric one, the levels of a categorical one, and the vector of a
    missing value. -> (m, d)"""
    if site in basis.sites:
        vectors = basis.table[np.flatnonzero(basis.sites == site)[0]]
    else:
        vectors = np.concatenate([values for _, values in _pieces(basis, site)])
    return np.vstack([vectors, basis.missing[site]])


def slopes_of(basis, site):
    """Vectors in whose convex hull the derivatives of the vectors of a numeric site are, by its
    coordinate. -> (m, d)"""
    found = [
        (len(values) - 1) / width * np.diff(values, axis=0)
        for width, values in _pieces(basis, site)
    ]
    return np.concatenate(found)


def _pieces(basis, site):
    """Width and Bernstein coefficients (p + 1, d) on every piece of a numeric site."""
    p = basis.embedding.dim
    low, high = basis.embedding.domain
    edges = np.append(np.linspace(low, high, _PIECES + 1), _ends_of_clipping(basis, site, p))
    edges = np.unique(edges)
    nodes = _nodes(p)
    between = (nodes[1:] + nodes[:-1]) / 2
    found = []
    for start, width in zip(edges[:-1], np.diff(edges), strict=True):
        coefficients = np.linalg.solve(_bernstein(nodes), _at(basis, site, start + width * nodes))
        truth = _at(basis, site, start + width * between)
        missed = np.abs(_bernstein(between, p) @ coefficients - truth).max()
        if missed > _ROUNDING * max(1.0, np.abs(truth).max()):
            raise ValueError(
                f"The {basis.embedding.name} embedding is no polynomial of a column: use "
                'embedding="legendre" and a number as degree.'
            )
        found.append((width, coefficients))
    return found


def _ends_of_clipping(basis, site, p):
    """Where components of a site reach the bound at which they are clipped."""
    if not np.isfinite(basis.bound):
        return np.zeros(0)
    low, high = basis.embedding.domain
    free = replace(basis, bound=np.asarray(np.inf))

    def component(s):
        return np.polynomial.Chebyshev.interpolate(
            lambda z: _at(free, site, z)[:, s], p, domain=[low, high]
        )

    found = [
        (component(s) - level).roots()
        for s in range(1, basis.dim)
        for level in (-float(basis.bound), float(basis.bound))
    ]
    found = np.concatenate([np.zeros(0), *found])
    real = found.real[np.abs(found.imag) < _ROUNDING]
    return real[(real > low) & (real < high)]


def _at(basis, site, z):
    """The vectors of a site at coordinates z (b,): -> (b, d)"""
    coords = np.full((len(z), len(basis.mask), 1), np.nan)
    coords[:, site, 0] = z
    return embed(basis, coords)[:, site]


def _nodes(p):
    """Chebyshev's nodes in (0, 1): (p + 1,)"""
    return (1 - np.cos(np.pi * (np.arange(p + 1) + 0.5) / (p + 1))) / 2


def _bernstein(t, p=None):
    """B_a(t) = C(p, a) t^a (1 - t)^(p - a): t (b,) -> (b, p + 1)"""
    p = len(t) - 1 if p is None else p
    a = np.arange(p + 1)
    return comb(p, a) * t[:, None] ** a * (1 - t[:, None]) ** (p - a)
