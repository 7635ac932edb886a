"""Where arrays live: executors, settings, programs, threads."""

import os
import subprocess
import sys
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sktn
from sktn import backend
from sktn.backend import threads


def run_python(code, *arguments, **environment):
    """Output of a fresh process, which must succeed."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# Settings


def test_settings_come_from_the_process_and_the_thread():
    before = sktn.get_config()
    try:
        sktn.set_config(backend="numpy")
        with sktn.config_context(backend="jax"):
            assert sktn.get_config() == {**before, "backend": "jax"}
            with sktn.config_context(max_memory=1e9):
                assert sktn.get_config() == {"backend": "jax", "max_memory": 1e9}
            seen = []
            thread = threading.Thread(target=lambda: seen.append(sktn.get_config()["backend"]))
            thread.start()
            thread.join()
            assert seen == ["numpy"]
            carried = backend.with_config(lambda: seen.append(sktn.get_config()["backend"]))
        thread = threading.Thread(target=carried)
        thread.start()
        thread.join()
        assert seen == ["numpy", "jax"]
        assert backend.get_executor().name == "numpy"
    finally:
        sktn.set_config(**before)


@pytest.mark.parametrize("value", [0, -1, True, "1 GB"])
def test_a_memory_that_is_no_number_of_bytes_is_refused_by_value(value):
    with pytest.raises(ValueError, match=f"max_memory must be a positive .*{value!r}"):
        sktn.set_config(max_memory=value)


@pytest.mark.parametrize("change", [sktn.set_config, sktn.config_context])
def test_an_unknown_backend_is_refused_by_name(change):
    with pytest.raises(ValueError, match=r"backend must be one of .*'torch'"):
        change(backend="torch").__enter__()


# Executors


def test_arrays_say_where_they_are():
    assert backend.namespace(np.ones(2)) is np
    assert backend.namespace(1.0, [2.0]) is np
    assert backend.namespace(np.ones(2), jnp.ones(2)) is jnp
    assert jax.jit(lambda x: float(backend.namespace(x) is jnp))(np.ones(2)) == 1


def test_scan_stacks_in_order_and_in_reverse(executor):
    xs = {"a": executor.put(np.arange(4.0, dtype=np.float32))}

    def step(carry, x):
        return carry + x["a"], (carry, 2 * x["a"])

    for reverse in (False, True):
        start = executor.put(np.float32(0))
        total, (before, doubled) = executor.get(executor.scan(step, start, xs, reverse))
        order = slice(None, None, -1 if reverse else 1)
        assert total == 6
        np.testing.assert_array_equal(doubled, [0, 2, 4, 6])
        np.testing.assert_array_equal(before[order], np.cumsum([0, *np.arange(4)[order][:-1]]))
        assert before.dtype == np.float32


def test_while_loop_and_set_at(executor):
    x = executor.put(np.zeros(3, np.float32))
    k, x = executor.while_loop(
        lambda c: c[0] < 3, lambda c: (c[0] + 1, executor.set_at(c[1], c[0], 2.0)), (0, x)
    )
    assert int(k) == 3
    np.testing.assert_array_equal(executor.get(x), [2, 2, 2])


def test_set_at_leaves_its_argument_alone(executor):
    x = executor.put(np.zeros(3))
    executor.set_at(x, slice(1), 5.0)
    assert not executor.get(x).any()


@pytest.mark.parametrize("stack", [(), (4,)])
def test_eigh(executor, stack, rng):
    A = rng.normal(size=(*stack, 5, 5))
    A = A @ A.mT + np.eye(5)
    with executor.precision(np.float64):
        values, vectors = executor.get(executor.eigh(executor.put(A)))
    assert values.dtype == vectors.dtype == np.float64
    np.testing.assert_allclose((vectors * values[..., None, :]) @ vectors.mT, A, atol=1e-10)


@pytest.mark.parametrize("n", [1, 63, 64, 65, 1000])
def test_map_rows_is_the_function_of_all_rows(executor, n, rng):
    rows = {"x": rng.normal(size=(n, 3)).astype(np.float32), "y": np.arange(n, dtype=np.float32)}
    sizes = []

    def function(block):
        sizes.append(len(block["y"]))
        return block["x"] * block["y"][:, None]

    # Blocks of 256 rows on either executor.
    block = {"numpy": backend.executors._NUMPY_BLOCK, "jax": backend.executors._JAX_BLOCK}[
        executor.name
    ]
    out = executor.map_rows(function, rows, block // 256)
    np.testing.assert_allclose(out, rows["x"] * rows["y"][:, None])
    assert isinstance(out, np.ndarray)
    assert max(sizes) <= 256
    if executor.name == "jax":
        assert len(set(sizes)) == 1


def test_precision_is_scoped(executor):
    with executor.precision(np.float64):
        assert executor.put(np.ones(2)).dtype == np.float64
        with executor.precision(np.float32):
            assert executor.put(np.ones(2, np.float32)).dtype == np.float32
        assert executor.put(np.ones(2)).dtype == np.float64
    assert not jax.config.jax_enable_x64


# Sizes and programs


def test_buckets_are_few_and_never_a_quarter_too_large():
    sizes = {backend.bucket(n) for n in range(1, 10_001)}
    assert {500, 1000, 2000} <= sizes
    assert len(sizes) < 45
    assert all(n <= backend.bucket(n) <= 1.27 * n + 1 for n in range(1, 10_001))
    assert backend.bucket(3) == 3 or backend.bucket(3) == 4
    assert backend.bucket(130, 8) % 8 == 0


def _double(x, *, power=1):
    return 2 * x**power


def test_programs_are_compiled_once_a_shape_and_static_argument():
    run = backend.get_executor("jax")
    double = run.jit(_double, static=("power",))
    before = backend.n_compiled()
    for n in (3, 4, 3):
        for power in (1, 2, 1):
            out = double(np.ones(n, np.float32), power=power)
            np.testing.assert_array_equal(out, np.full(n, 2.0))
    assert backend.n_compiled() - before == 4
    # Not inside another program.
    jax.jit(lambda x: double(x, power=1))(np.ones(9, np.float32))
    assert backend.n_compiled() - before == 4


def maps():
    with open("/proc/self/maps") as lines:
        return sum(1 for _ in lines)


linux = pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="counts memory maps")


@linux
def test_evicted_programs_free_their_memory_maps():
    programs = backend.programs.Programs(4)
    leaf = np.ones(1, np.float32)
    programs.get("warm", _double, {})(leaf)
    assert programs.n_compiled == 1
    start = maps()
    for k in range(30):
        programs.get(k, _double, {})(np.ones(k + 50, np.float32))
    assert len(programs.programs) == 4
    assert maps() - start < 200
    programs.clear()
    assert not programs.programs


@linux
def test_half_of_the_programs_go_when_memory_maps_run_out(monkeypatch, tmp_path):
    programs = backend.programs.Programs(100)
    for k in range(8):
        programs.get(k, _double, {})
    few = tmp_path / "max_map_count"
    few.write_text("65530\n")
    monkeypatch.setattr(backend.programs, "_MOST_MAPS", str(few))
    programs.get(8, _double, {})
    assert len(programs.programs) == 9
    few.write_text("10\n")
    programs.get(9, _double, {})
    assert list(programs.programs) == [5, 6, 7, 8, 9]
    monkeypatch.setattr(backend.programs, "_MOST_MAPS", str(tmp_path / "none"))
    programs.get(10, _double, {})
    assert len(programs.programs) == 6


MANY_SHAPES = """
import sys
import numpy as np
import jax.numpy as jnp
from sktn import backend
from sktn.backend import threads
from sktn.solvers.gradient import Objective, Training, minimize, minimize_lbfgs

def loss(params, batch, weight, context):
    return jnp.sum(weight * (batch @ params - 1) ** 2)

def maps():
    with open("/proc/self/maps") as lines:
        return sum(1 for _ in lines)

backend.programs.PROGRAMS.size = 4
n_fits = int(sys.argv[1])
for k in range(n_fits):
    x = np.ones((20, k + 1), np.float32)
    objective, params = Objective(loss, x, np.ones(20, np.float32), {}), np.zeros(k + 1, np.float32)
    if k % 2:
        minimize(objective, params, 0, Training(max_iter=2))
    else:
        minimize_lbfgs(objective, params, max_iter=2)
    if k == 3:
        start = maps()
assert backend.n_compiled() >= 1.5 * n_fits - 1
assert maps() < start + 2000, (start, maps())
"""


@linux
# 500 maps a fit if nothing were freed: twenty fits pass the bound as surely as thousands.
@pytest.mark.slow
def test_fits_of_many_shapes_leave_a_bounded_number_of_memory_maps():
    run_python(MANY_SHAPES, "20")


# Nothing is compiled where NumPy serves

NO_JAX = """
import warnings
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
import sktn
from sktn import backend, inspection as read
assert backend.get_executor().name == "numpy"
warnings.simplefilter("ignore")
X, y = load_breast_cancer(return_X_y=True)
X, y = X[::4, :6], y[::4]
gaps = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)
model = sktn.MPSClassifier(alpha=0.1).fit(X, y)
model.predict_proba(X), model.transform(X), model.cores_
chain, X_few = make_pipeline(StandardScaler(), model).fit(X, y), X[:5]
read.variance_shares(chain), read.shapley_values(chain, X_few), read.marginal_effect(chain, X, 0)
read.input_gradient(chain, X_few), read.bond_entropy(chain), read.mutual_information(chain, 0, 1)
read.truncate(chain), read.prune(chain, features=[0]), read.interactions(chain, X_few)
sktn.MPSClassifier().fit(gaps, y).predict(gaps)
sktn.MPSRegressor(alpha=0.1).fit(X, y).predict(X)
sktn.SMPOAnomalyDetector().fit(X).score_samples(X)
sktn.RGTNDecomposer(0.3).fit(gaps[:12].reshape(3, 4, 6))
sktn.RGTNImputer(time_limit=5).fit_transform(gaps)
density = sktn.MPSDensityEstimator(max_iter=2).fit(X[:40, :2])
density.score(X[:, :2]), density.sample(3), density.impute(gaps[:, :2])
from jax._src import xla_bridge
assert not xla_bridge._backends
# The probe would notice one.
backend.get_executor("jax").put(X)
assert xla_bridge._backends
"""


def test_a_cpu_alone_means_numpy_where_fits_predictions_and_readings_start_no_jax_backend():
    run_python(NO_JAX, JAX_PLATFORMS="cpu", SKTN_BACKEND="auto", XLA_FLAGS="")


# Threads and forks


def test_the_blas_limit_is_held_unless_one_says_otherwise():
    for when, holders in (((), 1), ((True,), 1), ((False,), 0)):
        with backend.one_blas_thread(*when):
            assert threads._shared_limit.holders == holders
    assert threads._shared_limit.holders == 0


BLAS = """
import threading
import numpy, scipy.linalg
from threadpoolctl import threadpool_info
from sktn import backend
from sktn.backend import threads

def counts():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

found = counts()
inside, gates = [], [threading.Event() for _ in range(4)]

def work(mine, following):
    with backend.one_blas_thread():
        following.set()
        mine.wait(10)
        inside.append(counts())

# Each leaves only once the next one has entered: no order of nesting.
threads = [threading.Thread(target=work, args=(gates[(k + 1) % 4], gates[k])) for k in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert inside == [{1}] * 4, inside
assert counts() == found, "not restored"
try:
    with backend.one_blas_thread(), backend.one_blas_thread():
        raise KeyError
except KeyError:
    assert counts() == found, "not restored after an error"
with backend.one_blas_thread(False):
    assert counts() == found

import numpy as np
import sktn
from sktn.chains.solvers import Convex


class Spy(Convex):
    def solve(self, problem, plan):
        seen.append(counts())
        return super().solve(problem, plan)


seen = []
X = np.random.default_rng(0).normal(size=(60, 2))
sktn.MPSClassifier(solver=Spy(), degree=2, bond_dim=2).fit(X, X[:, 0] > 0)
assert seen == [{1}], "a fit of a small table has one thread, not " + repr(seen)
assert counts() == found, "not restored after a fit"
print(*found)
"""


def test_the_blas_limit_holds_in_a_fit_and_is_restored_from_any_number_of_threads():
    two = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "2")
    if run_python(BLAS, **two) == "1":
        pytest.skip("this BLAS has one thread")


FORK = """
import os, warnings
import numpy as np
import jax, jax.numpy as jnp
from sktn import backend
from sktn.backend import threads
assert backend.get_config()["backend"] == "jax", "the environment says so"
warnings.simplefilter("ignore")
jnp.ones(2).block_until_ready()  # by someone else, not through the package
child = os.fork()
if child == 0:
    try:
        backend.get_executor("jax")
        code = 1
    except RuntimeError as error:
        code = 0 if 'set_config(backend="numpy")' in str(error) else 2
    run = backend.get_executor("numpy")
    code |= 4 * (run.jit(np.sum)(np.ones(3)) != 3)
    os._exit(code)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="has no fork")
def test_a_forked_child_of_a_process_that_used_jax_is_told_so():
    assert run_python(FORK, SKTN_BACKEND="jax") == "0"


# Several devices

EIGHT = """
import sys
import numpy as np
import jax
import sktn
from sktn.networks import graph

assert jax.local_device_count() == 8
assert sktn.backend.get_executor().name == "jax"
assert sktn.backend.get_executor().n_devices == 8
sktn.backend.executors._DEVICE_ENTRIES = graph._DEVICE_ENTRIES = 1
rng = np.random.default_rng(0)
X = rng.normal(size=(160, 3))
y = (X[:, 0] * X[:, 1] > 0).astype(int)
T = np.sin(np.add.outer(np.add.outer(np.arange(8), 2.0 * np.arange(6)), np.arange(7) ** 2))
T += 0.1 * rng.normal(size=T.shape)
G = np.where(rng.random(T.shape) < 0.2, np.nan, T)
chain = {"alpha": 0.1, "bond_dim": 4, "degree": 3, "random_state": 0}
grid = {"bases": [("standard", 2)], "alphas": [1.0, 0.1], "max_members": 1, "bond_dims": [3]}
few = {"n_growths": 1, "max_steps": 3, "random_state": 0}
models = {
    "classifier": lambda: sktn.MPSClassifier(**chain).fit(X, y).predict_proba(X),
    "regressor": lambda: sktn.MPSRegressor(**chain).fit(X, X[:, 0] ** 2).predict(X),
    "search": lambda: sktn.MPSClassifierCV(**grid, random_state=0).fit(X, y).predict_proba(X),
    "detector": lambda: sktn.SMPOAnomalyDetector().fit(X).score_samples(X),
    "density": lambda: sktn.MPSDensityEstimator(max_iter=2, random_state=0).fit(X).score_samples(X),
    "decomposer": lambda: sktn.RGTNDecomposer(0.3, random_state=0).fit(T).to_tensor(),
    "imputer": lambda: sktn.RGTNImputer(**few).fit_transform(G),
}
for name in sys.argv[1:]:
    found = []
    for backend in ("numpy", "jax"):
        with sktn.config_context(backend=backend):
            found.append(models[name]())
    scale = np.abs(found[0]).max()
    np.testing.assert_allclose(found[1], found[0], atol=1e-5 * scale, rtol=0, err_msg=name)
"""
OTHERS = ("regressor", "search", "detector", "density", "decomposer", "imputer")


@pytest.mark.slow
@pytest.mark.parametrize("estimators", [("classifier",), OTHERS])
def test_eight_devices_give_what_numpy_gives(estimators):
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
    run_python(EIGHT, *estimators, XLA_FLAGS=flags, JAX_PLATFORMS="cpu", SKTN_BACKEND="auto")
