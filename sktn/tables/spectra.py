"""Smooth and rough functions of a column: a prior that is a sum of two spectra over the degrees.

Over the ranks of a column, with waves as its basis, a spectrum s^(-2q) is that of a smooth function
(q = 1: a random walk), and 1 / (1 + (s / corner)^2) that of a stationary process that forgets over
a share 1 / (pi corner) of the rows (Ornstein and Uhlenbeck). How much of either a column has is for
the data to say (`solvers.relevance`): a date on which the target turns from day to day asks for
components by the hundred, the column beside it for three.
"""

from dataclasses import replace

import numpy as np

# The rough part forgets over one percent of the rows.
_CORNER = 32.0
# Share of the prior variance of all sites together that components may take with them.
_LEFT_OUT = 0.02


def rough_parts(basis, smoothness):
    """What the smooth prior variances are multiplied by in the smooth and in the rough part, which
    have the same sum over the components of a site: (2, n, d)"""
    degrees = np.asarray(basis.degrees, np.float64)
    there = degrees > 0
    s = np.maximum(degrees, 1)
    smooth = np.where(there, s ** (-2.0 * smoothness), 0)
    rough = np.where(there, 1 / (1 + (s / _CORNER) ** 2), 0)
    total = np.maximum(rough.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    rough *= smooth.sum(axis=1, keepdims=True) / total
    ratio = np.divide(rough, smooth, out=np.zeros_like(rough), where=there)
    return np.stack([np.ones_like(ratio), ratio])


def with_spectra(basis, smoothness, shares):
    """The basis whose components vary as the mean of the parts does: shares (n, 2)"""
    mixed = np.einsum("np,pnd->nd", shares, rough_parts(basis, smoothness))
    spread = np.where(basis.degrees > 0, basis.spread * mixed, 1.0)
    return replace(basis, spread=spread.astype(basis.spread.dtype))


def telling_degrees(basis, smoothness, relevance):
    """The largest degree of every site without which more than `_LEFT_OUT` of the prior variance of
    all sites would be lost: relevance (n,) -> (n,), at least 1"""
    degrees = np.asarray(basis.degrees, np.float64)
    there = degrees > 0
    variance = basis.spread * np.maximum(degrees, 1) ** (-2.0 * smoothness)
    variance = np.where(there, variance * np.reshape(relevance, (-1, 1)), 0)
    falling = np.sort(variance, axis=None)[::-1]
    enough = np.cumsum(falling) >= (1 - _LEFT_OUT) * falling.sum()
    least = falling[int(np.argmax(enough))]
    return np.maximum(np.where(there & (variance >= least), degrees, 0).max(axis=1), 1.0)


def components_up_to(basis, largest):
    """Indices of the components up to a degree of each site: largest (n,) -> n arrays"""
    keep = (np.asarray(basis.degrees) <= np.reshape(largest, (-1, 1))) & (basis.mask > 0)
    # Levels are no degrees.
    keep[basis.sites] = basis.mask[basis.sites] > 0
    return [np.flatnonzero(row) for row in keep]


def selected(array, chosen, fill, width):
    """Components of every site, filled up to one width: (k, ..., d), k arrays -> (k, ..., width)"""
    out = np.full((*array.shape[:-1], width), fill, array.dtype)
    for target, source, own in zip(out, array, chosen, strict=True):
        target[..., : len(own)] = source[..., own]
    return out


def up_to(basis, largest):
    """The basis without the components beyond a degree of each site: largest (n,)"""
    chosen = components_up_to(basis, largest)

    def first(array, fill=0.0):
        own = [chosen[i] for i in basis.sites] if array is basis.table else chosen
        return selected(array, own, fill, max(map(len, chosen)))

    gram = first(np.ascontiguousarray(first(basis.gram).transpose(0, 2, 1))).transpose(0, 2, 1)
    return replace(
        basis,
        transform=first(basis.transform),
        table=first(basis.table),
        missing=first(basis.missing),
        mask=first(basis.mask),
        degrees=first(basis.degrees),
        mean=first(basis.mean),
        gram=np.ascontiguousarray(gram),
        spread=first(basis.spread, 1.0),
    )
