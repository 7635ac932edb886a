"""The factors of columns under which a response is likeliest: L-BFGS on the evidence."""

import numpy as np
from scipy.optimize import minimize

from sktn.solvers.evidence import negative_log_evidence

#: Beyond these logarithms a column counts for nothing, or for all.
BOUND = np.log(1e3)
# An iteration that makes the response less likelier than by this much, a tenth, is the last.
_LEAST_GAIN = 0.1


def search(start, data, max_iter, stop=None):
    """From the logarithms of the factors, of the noise and the signal, (P + 2,), with the kernels,
    response and precision of :func:`negative_log_evidence`.

    stop : `stop() -> bool`, asked after every step
    -> parameters, minus the log evidence, and what failed, if anything did
    """
    # Steps are made in the square roots of the factors, twice: near 1 as long as those in
    # logarithms, in which the evidence is flat where a factor is all but nothing. In seven searches
    # 10 to 15 evaluations reached what 15 to 20 had.
    roots = np.arange(len(start)) < len(start) - 2
    # One number is free above, far from where any search ends: where all are bounded on both sides,
    # the first step of L-BFGS-B is the gradient itself, hundreds long, else it has length one.
    noise, signal = (np.log(1e-4), None), (np.log(1e-4), np.log(1e3))
    least, most = 2 * np.exp([-BOUND / 2, BOUND / 2])
    bounds = [(least, most)] * (len(start) - 2) + [noise, signal]
    values = [np.inf]

    def logarithms(steps):
        return np.where(roots, 2 * np.log(np.where(roots, steps, 2) / 2), steps)

    def evidence(steps):
        value, gradient = negative_log_evidence(logarithms(steps), *data)
        return value, gradient * np.divide(2, steps, out=np.ones_like(steps), where=roots)

    def rest(intermediate_result):
        values.append(intermediate_result.fun)
        if values[-2] - values[-1] < _LEAST_GAIN or (stop is not None and stop()):
            raise StopIteration

    try:
        result = minimize(
            evidence,
            np.where(roots, 2 * np.exp(start / 2), start),
            (),
            "L-BFGS-B",
            True,
            bounds=bounds,
            callback=rest,
            options={"maxiter": max_iter},
        )
    except np.linalg.LinAlgError as error:
        return start, np.inf, str(error)
    finite = np.isfinite(result.x).all() and np.isfinite(result.fun)
    return logarithms(result.x), float(result.fun), "" if finite else "the evidence is not finite"
