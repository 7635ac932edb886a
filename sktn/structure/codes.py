"""Codes of new samples of which some entries are missing."""

import numpy as np

__all__ = ["fill_rows"]


def fill_rows(Z, seen, basis, trained, noise):
    """Missing entries of samples, from the posterior mean of their codes.

    The trained codes are the prior N(m, S) of a new one; its observed entries are B_o c + noise:

        c = m + L (I + L^T B_o^T B_o L / noise)^-1 L^T B_o^T (z_o - B_o m) / noise,   S = L L^T

    No inverse of S is taken: codes that lie in a subspace, or that are all the same, stay there. A
    sample without observed entries has the mean code.

    Z (b, M), seen (b, M) bool, basis (M, r) the network without its sample core, trained (n, r),
    noise variance of an entry -> (b, M)
    """
    mean = trained.mean(axis=0)
    _, spread, rows = np.linalg.svd(trained - mean, full_matrices=False)
    L = rows.T * (spread / np.sqrt(len(trained)))
    base, B = basis @ mean, basis @ L
    Z = Z.copy()
    for row in np.flatnonzero(~seen.all(axis=1)):
        on = seen[row]
        some = B[on]
        A = some.T @ some
        A.flat[:: len(A) + 1] += noise
        code = np.linalg.solve(A, some.T @ (Z[row, on] - base[on]))
        Z[row, ~on] = base[~on] + B[~on] @ code
    return Z
