"""Codes of samples: the sample core of a network whose other cores are fixed."""

import numpy as np

__all__ = ["encode", "fill_rows", "posterior"]

# Eigenvalues of a Gram matrix below this share of the largest are rounding.
_ROUNDING = 1e-12


def _power(values):
    """The least power of two above all magnitudes that are present: its exponent."""
    with np.errstate(invalid="ignore"):
        return np.frexp(np.max(np.abs(values), initial=0.0, where=~np.isnan(values)))[1]


def _solve(gram, projection):
    """Least squares from normal equations, by the eigenvalues above rounding.

    gram (P, P), projection (b, P) -> (b, P)
    """
    values, vectors = np.linalg.eigh(gram)
    use = values > _ROUNDING * max(values[-1], 0.0)
    inverse = np.where(use, 1.0 / np.where(use, values, 1.0), 0.0)
    return ((projection @ vectors) * inverse) @ vectors.T


def encode(basis, power, samples, trained):
    """Codes c of least ||x - 2^power basis c|| over the observed entries of every sample.

    Where the observed entries of a sample do not settle its code, the one nearest the mean of the
    trained codes is taken: a sample without any observed entry gets that mean.

    basis (M, P), power (), samples (b, M) NaN where missing, trained (n, P) -> (b, P)
    """
    # Squares of entries near the ends of the float range would overflow or vanish.
    own, level = _power(basis), _power(samples)
    basis, power = np.ldexp(basis.astype(np.float64), -own), power + own
    flat = np.ldexp(samples.astype(np.float64), -level)
    missing = np.isnan(flat)
    codes = _solve(basis.T @ basis, np.where(missing, 0.0, flat) @ basis)
    gaps = np.flatnonzero(missing.any(axis=1))
    if len(gaps):
        mean = np.ldexp(trained.astype(np.float64), power - level).mean(axis=0)
    for row in gaps:
        on = ~missing[row]
        seen = basis[on]
        codes[row] = mean + _solve(seen.T @ seen, (flat[row, on] - seen @ mean)[None] @ seen)[0]
    return np.ldexp(codes, level - power)


def posterior(Z, seen, basis, trained, noise):
    """Posterior mean codes of samples.

    The trained codes are the prior N(m, S) of a new one; its observed entries are B_o c + noise:

        c = m + L (I + L^T B_o^T B_o L / noise)^-1 L^T B_o^T (z_o - B_o m) / noise,   S = L L^T

    No inverse of S is taken: codes that lie in a subspace, or that are all the same, stay there. A
    sample without observed entries has the mean code.

    Z (b, M), seen (b, M) bool, basis (M, r) the network without its sample core, trained (n, r),
    noise variance of an entry -> (b, r)
    """
    mean = trained.mean(axis=0)
    _, spread, rows = np.linalg.svd(trained - mean, full_matrices=False)
    L = rows.T * (spread / np.sqrt(len(trained)))
    base, B = basis @ mean, basis @ L
    codes = np.tile(mean, (len(Z), 1))
    for row, on in enumerate(seen):
        some = B[on]
        A = some.T @ some
        A.flat[:: len(A) + 1] += noise
        codes[row] += L @ np.linalg.solve(A, some.T @ (Z[row, on] - base[on]))
    return codes


def fill_rows(Z, seen, basis, trained, noise):
    """Missing entries of samples, as their `posterior` codes have them.

    -> (b, M)
    """
    gaps = ~seen.all(axis=1)
    Z = Z.copy()
    values = posterior(Z[gaps], seen[gaps], basis, trained, noise) @ basis.T
    Z[gaps] = np.where(seen[gaps], Z[gaps], values)
    return Z
