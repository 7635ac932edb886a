"""Contractions of index sets: an order of pairwise products, found once for rounded sizes, and run.

An index occurs in two operands, or in one and the output; so each step is one matrix product, and a
plan is valid for every size. Plans are cached by rounded size: a structure search asks for the same
ones thousands of times. Operands that were put on a device are contracted there, each step compiled
once a shape.
"""

from functools import lru_cache
from math import log2, prod

import opt_einsum as oe

from sktn.backend import executor_of

# A contraction order found for one size serves all that round to the same power of 2**(2/3).
_ROUNDING = 1.5


def _optimizer(n_operands, n_indices):
    if n_operands <= 5:
        return "optimal"
    # Dynamic programming visits connected subsets: few on sparse graphs, all of them on dense ones
    # (1.4 s for ten operands that are all connected).
    dense = n_operands > 8 and n_indices > 2.5 * n_operands
    return "greedy" if dense or n_operands > 20 else "dp"


@lru_cache(maxsize=65536)
def plan_of(inputs, output, rounded):
    """Pairwise contraction steps for index sets, found for rounded sizes.

    inputs tuple of tuples, output tuple, rounded tuple of (index, rounded log2 size)
    -> steps, permutation
    """
    size = {index: 2 ** (q / _ROUNDING) for index, q in rounded}
    operands = [tuple(x) for x in inputs]
    if len(operands) == 1:
        path = []
    elif len(operands) == 2:
        path = [(0, 1)]
    else:
        symbols = {index: oe.get_symbol(n) for n, index in enumerate(size)}
        sets = [frozenset(symbols[x] for x in op) for op in operands]
        out = frozenset(symbols[x] for x in output)
        lengths = {symbols[x]: max(1, round(s)) for x, s in size.items()}
        kind = _optimizer(len(operands), len(size))
        finder = {
            "optimal": oe.paths.optimal,
            "dp": oe.paths.DynamicProgramming(),
            "greedy": oe.paths.greedy,
        }[kind]
        path = finder(sets, out, lengths)
    merged, lost = [], {}
    names, n_values = list(range(len(operands))), len(operands)
    for pair in path:
        a, b = sorted(pair)
        right, left = operands.pop(b), operands.pop(a)
        shared = frozenset(left) & frozenset(right)
        operands.append(tuple(x for x in left + right if x not in shared))
        second, first = names.pop(b), names.pop(a)
        lost[first] = lost[second] = shared
        merged.append((first, second))
        names.append(n_values)
        n_values += 1
    steps, labels = _layouts([tuple(x) for x in inputs], merged, lost, size)
    permutation = tuple(labels.index(x) for x in output)
    return steps, permutation


def costs(plan, shapes):
    """What a plan costs for operands of given shapes: the rounding that it was found with would be
    off by orders of magnitude where indices are many.

    plan of `plan_of`, shapes of the operands -> flops, entries of the largest intermediate
    """
    values, flops, peak = list(shapes), 0.0, 0.0
    for first, second, axes, others, n_shared in plan[0]:
        left, right = ([values[first][a] for a in axes], [values[second][a] for a in others])
        result = left[n_shared:] + right[n_shared:]
        volume = float(prod(result))
        flops += 2 * volume * prod(left[:n_shared])
        # The operands are also copied: on thin contractions that is most of the time.
        flops += 8 * (volume + prod(left) + prod(right))
        peak = max(peak, volume)
        values.append(result)
    return flops, peak


def _layouts(labels, merged, lost, size):
    """Axes of both operands of every step, in the order that makes the largest copies short.

    An operand is laid out (shared, free). The free indices that the next step shares come first, so
    that its copy moves long runs.

    labels list of tuples, merged pairs of operands, lost dict of operand to the indices it shares
    -> steps (first, second, axes of first, axes of second, number shared), indices of the result
    """
    steps = []
    for first, second in merged:
        left, right = labels[first], labels[second]
        larger = max(left, right, key=lambda x: prod(size[n] for n in x))
        shared = [x for x in larger if x in lost[first]]
        later = lost.get(len(labels), frozenset())
        free = [
            sorted((x for x in side if x not in lost[first]), key=lambda x: x not in later)
            for side in (left, right)
        ]
        axes = (
            tuple(side.index(x) for x in shared + own)
            for side, own in zip((left, right), free, strict=True)
        )
        steps.append((first, second, *axes, len(shared)))
        labels.append(tuple(free[0] + free[1]))
    return tuple(steps), labels[-1]


def rounded_sizes(inputs, arrays):
    size = {}
    for indices, array in zip(inputs, arrays, strict=True):
        for index, length in zip(indices, array.shape, strict=True):
            size[index] = round(_ROUNDING * log2(length)) if length > 1 else 0
    return tuple(sorted(size.items(), key=lambda item: str(item[0])))


def _merged(left, right, *, axes, others, n_shared):
    """Two operands contracted over their shared axes, which are named first."""
    left, right = left.transpose(axes), right.transpose(others)
    width = prod(left.shape[:n_shared])
    result = left.shape[n_shared:] + right.shape[n_shared:]
    return (left.reshape(width, -1).T @ right.reshape(width, -1)).reshape(result)


def run_plan(plan, arrays):
    steps, permutation = plan[:2]
    values = list(arrays)
    merge = executor_of(*values).jit(_merged, static=("axes", "others", "n_shared"))
    for first, second, axes, others, n_shared in steps:
        value = merge(values[first], values[second], axes=axes, others=others, n_shared=n_shared)
        values[first] = values[second] = None
        values.append(value)
    return transposed(values[-1], permutation)


def transposed(array, permutation):
    """Axes in another order."""
    if permutation == tuple(range(array.ndim)):
        return array
    return executor_of(array).jit(_transpose, static=("axes",))(array, axes=permutation)


def _transpose(array, *, axes):
    return array.transpose(axes)


def contract(inputs, output, arrays):
    inputs, output = tuple(inputs), tuple(output)
    return run_plan(plan_of(inputs, output, rounded_sizes(inputs, arrays)), arrays)
