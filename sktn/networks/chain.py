"""A matrix product state with one output as one array of cores: what exact readings start from.

A scalar chain is `chain` (n, D, d, D), axes left bond, physical, right bond, both ends closed with
the first unit vector: f(x) = e_1 [prod_i A_i(x_i)] e_1. NumPy in float64: a reading is a few
products of small matrices a site, and compiling would cost more than it saves.
"""

import numpy as np


def scalar_chain(cores, readout, output_site, output):
    """The chain of one output: its slice of the readout becomes part of a neighbouring core.

    cores (n, D, d, D), readout (D, c, D) -> (n, D, d, D)
    """
    chain, R = cores.copy(), readout[:, output]
    if output_site < len(chain):
        chain[output_site] = np.einsum("kl,lsr->ksr", R, chain[output_site])
    else:
        chain[-1] = chain[-1] @ R
    return right_canonical(chain)


def right_canonical(chain):
    """The same function with every core but the first an isometry from the right.

    Products of cores are then bounded by the norm of the function: no reading leaves the range of
    float64, however long the chain.

    chain (n, D, d, D) -> (n, D, d, D)
    """
    n, D, d, _ = chain.shape
    chain, carry, log_scale = chain.copy(), np.eye(D), 0.0
    chain[-1, :, :, 1:] = 0
    for k in range(n - 1, 0, -1):
        Q, R = np.linalg.qr((chain[k] @ carry).reshape(D, d * D).T)
        chain[k] = 0
        chain[k, : Q.shape[1]] = Q.T.reshape(-1, d, D)
        size = max(np.abs(R).max(), np.finfo(R.dtype).tiny)
        carry = np.zeros((D, D))
        carry[:, : len(R)] = R.T / size
        log_scale += np.log(size)
    chain[0] = chain[0] @ carry * np.exp(log_scale)
    return chain


def whitening(mean, gram):
    """W_i = [m_i | S_i] with S_i^2 = G_i - m_i m_i^T: coefficients in an orthonormal basis, the
    constant first, are W_i^T of those in the local basis with E[phi] = m and E[phi phi^T] = G.

    mean (n, d), gram (n, d, d) -> (n, d, 1 + d)
    """
    covariance = gram - mean[:, :, None] * mean[:, None, :]
    values, vectors = np.linalg.eigh(covariance)
    # A component without variance, such as the constant, comes out as rounding error.
    values = np.where(values > 1e-12 * np.abs(values).max(axis=1, keepdims=True), values, 0.0)
    root = (vectors * np.sqrt(values)[:, None, :]) @ vectors.mT
    return np.concatenate([mean[:, :, None], root], axis=2)


def change_basis(cores, matrices):
    """cores (n, D, d, D), matrices (n, d, e) -> (n, D, e, D)"""
    return np.einsum("nlsr,nst->nltr", cores, matrices, optimize=True)


def evaluate(chain, phi):
    """f(x): chain (n, D, d, D), phi (b, n, d) -> (b,)"""
    D, d = chain.shape[1:3]
    vectors = np.zeros((len(phi), D))
    vectors[:, 0] = 1
    for core, x in zip(chain, phi.swapaxes(0, 1), strict=True):
        spread = (vectors @ core.reshape(D, d * D)).reshape(-1, d, D)
        vectors = (x[:, None] @ spread)[:, 0]
    return vectors[:, 0]


def gradient(chain, phi, slopes):
    """f with one site's vector replaced by its derivative, for every site: d f / d x_i.

    chain (n, D, d, D), phi and slopes (b, n, d) -> (b, n)
    """
    n, D, d, _ = chain.shape
    cores = chain.transpose(0, 2, 1, 3).reshape(n, d, D * D)
    left = np.zeros((n + 1, len(phi), 1, D))
    left[0, :, :, 0] = 1
    for i in range(n):
        left[i + 1] = left[i] @ (phi[:, i] @ cores[i]).reshape(-1, D, D)
    out, right = np.zeros(phi.shape[:2]), np.zeros((len(phi), D, 1))
    right[:, 0] = 1
    for i in reversed(range(n)):
        moved = (slopes[:, i] @ cores[i]).reshape(-1, D, D)
        out[:, i] = (left[i] @ moved @ right)[:, 0, 0]
        right = (phi[:, i] @ cores[i]).reshape(-1, D, D) @ right
    return out


def conditional_mean(chain, mean, sites):
    """E[f | x_i, i in sites] = sum_s K[s] prod_i phi_{s_i}(x_i), the others averaged over.

    chain (n, D, d, D), mean (n, d), sites: k distinct places -> K (d, ..., d), axes as in `sites`
    """
    out = np.eye(1, chain.shape[1])
    for i, core in enumerate(chain):
        if i in sites:
            out = np.einsum("kl,lsr->ksr", out, core).reshape(-1, core.shape[2])
        else:
            out = out @ np.einsum("lsr,s->lr", core, mean[i])
    K = out[:, 0].reshape(chain.shape[2:3] * len(sites))
    return K.transpose(np.argsort(np.argsort(sites)))
