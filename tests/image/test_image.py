"""Transformers of flattened images: nothing lost, neighbours kept, scikit-learn's own checks."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from sktn import MPSClassifier, PixelOrder, PixelPadding, PixelPatches, PixelPooling
from sktn.chains.solvers import Adam
from sktn.embeddings import Amplitude, Averaged, Legendre, Product, Trigonometric
from sktn.image import pixel_path

ORDERS = ["row", "snake", "zigzag", "spiral", "hilbert"]
sides = st.integers(1, 17)

# One row of pixels: the checks come with any number of columns.
SERIES = (1, -1)


@parametrize_with_checks(
    [
        PixelOrder(SERIES),
        PixelPatches(SERIES),
        PixelPooling(SERIES),
        PixelPooling(SERIES, statistic="max"),
        PixelPadding(SERIES, padded_shape=(2, 50)),
    ]
)
def test_scikit_learn_check(estimator, check):
    check(estimator)


@given(sides, sides, st.sampled_from(ORDERS))
def test_a_path_visits_every_pixel_once(height, width, order):
    path = pixel_path(height, width, order)
    np.testing.assert_array_equal(np.sort(path), np.arange(height * width))


@given(sides, sides, st.sampled_from(["snake", "spiral", "hilbert"]))
def test_consecutive_pixels_are_neighbours(height, width, order):
    row, column = np.divmod(pixel_path(height, width, order), width)
    steps = np.abs(np.diff(row)), np.abs(np.diff(column))
    # The curve of a rectangle with one odd side may need diagonal steps.
    diagonal = order == "hilbert"
    assert np.all(np.maximum(*steps) <= 1)
    assert np.all(np.add(*steps) <= 1 + diagonal)
    if diagonal and height % 2 == width % 2 == 0:
        assert np.all(np.add(*steps) <= 1)


def test_hilbert_keeps_neighbourhoods_together():
    # The mean distance along the path of pixels that are neighbours down the image grows with the
    # width for a snake; a Hilbert curve covers every 4 x 4 block in one go.
    path = pixel_path(16, 16, "hilbert")
    row, column = np.divmod(path.reshape(-1, 16), 16)
    assert np.all(np.ptp(row, axis=1) == 3)
    assert np.all(np.ptp(column, axis=1) == 3)


def test_zigzag_follows_the_diagonals():
    np.testing.assert_array_equal(pixel_path(3, 3, "zigzag"), [0, 1, 3, 6, 4, 2, 5, 7, 8])


@pytest.mark.parametrize(
    "transformer",
    [
        *(PixelOrder((5, 6), order=order) for order in ORDERS),
        PixelOrder((5, 2, 3), order="spiral"),
        PixelPadding((5, 6), padded_shape=(8, 7), fill_value=-1.0),
        PixelPadding((5, 6)),
        PixelPatches((5, 6), patch_shape=(2, 4), order="hilbert"),
        PixelPatches((5, 2, 3)),
    ],
)
def test_moved_pixels_come_back(rng, transformer):
    X = rng.normal(size=(3, 30)).astype(np.float32)
    moved = transformer.fit_transform(X)
    assert moved.dtype == np.float32
    np.testing.assert_array_equal(transformer.inverse_transform(moved), X)


def test_names_move_with_their_columns(rng):
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame(rng.normal(size=(2, 9)), columns=[f"p{k}" for k in range(9)])
    out = PixelPatches().set_output(transform="pandas").fit_transform(X)
    kept = [name for name in out.columns if not name.startswith("padding")]
    assert sorted(kept) == sorted(X.columns)
    pd.testing.assert_frame_equal(out[list(X.columns)], X)
    assert list(PixelOrder((3, 3)).fit(X).get_feature_names_out()[3:6]) == ["p5", "p4", "p3"]


def test_patches_hold_the_pixels_of_their_square():
    image = np.arange(24.0).reshape(4, 6)
    patches = PixelPatches((4, 6), order="row").fit(image.reshape(1, -1))
    first = patches.transform(image.reshape(1, -1)).reshape(-1, patches.patch_size_)[0]
    np.testing.assert_array_equal(first, image[:2, :2].ravel())


@pytest.mark.parametrize("statistic", ["mean", "max"])
@pytest.mark.parametrize("shape", [(4, 6), (5, 7), (3, 4, 2)])
def test_pooling_agrees_with_loops_and_inverts(rng, statistic, shape):
    X = rng.normal(size=(3, np.prod(shape)))
    X[0, 3] = np.nan
    pool = PixelPooling(shape, window=(2, 3), statistic=statistic)
    pooled = pool.fit_transform(X)
    images = X.reshape(3, *(*shape, 1)[:3])
    function = np.nanmean if statistic == "mean" else np.nanmax
    rows, columns, _ = pool.pooled_shape_
    expected = [
        [function(images[:, 2 * i : 2 * i + 2, 3 * j : 3 * j + 3], axis=(1, 2))]
        for i in range(rows)
        for j in range(columns)
    ]
    expected = np.moveaxis(np.array(expected)[:, 0], 0, 1).reshape(3, -1)
    np.testing.assert_allclose(pooled, expected)
    assert len(pool.get_feature_names_out()) == pooled.shape[1]
    np.testing.assert_allclose(pool.transform(pool.inverse_transform(pooled)), pooled)


def test_windows_and_patches_of_one_pixel_are_the_pixels(rng):
    X = rng.normal(size=(3, 12))
    np.testing.assert_array_equal(PixelPooling((3, 4), window=1).fit_transform(X), X)
    patches = PixelPatches((3, 4), patch_shape=1, order="row").fit(X)
    np.testing.assert_array_equal(patches.transform(X), X)


def test_a_window_without_pixels_is_missing():
    X = np.full((1, 4), np.nan)
    for statistic in ("mean", "max"):
        assert np.isnan(PixelPooling(statistic=statistic).fit_transform(X)).all()


@pytest.mark.parametrize(
    ("transformer", "message"),
    [
        (PixelOrder(), "no square"),
        (PixelOrder((3, 3)), "does not fit"),
        (PixelOrder((-1, 7)), "does not fit"),
        (PixelOrder((10,)), "height, width"),
        (PixelPadding((2, 5), padded_shape=(1, 5)), "at least"),
        (PixelPatches((2, 5), patch_shape=(1, 2, 3)), "patch_shape"),
        (PixelPooling((2, 5), window=(0, 2)), "window"),
        (PixelPooling((2, 5), window=(1.5, 2)), "window"),
        (PixelOrder((2.5, 4)), "image_shape"),
        (PixelOrder(("one", 10)), "image_shape"),
        (PixelPadding((2, 5), padded_shape=(2.5, 5)), "padded_shape"),
        (PixelPadding((2, 5), padded_shape=(2, 5, 1)), "padded_shape"),
    ],
)
def test_errors_name_the_remedy(transformer, message):
    with pytest.raises(ValueError, match=message):
        clone(transformer).fit(np.zeros((2, 10)))


def test_what_is_no_image_is_refused_in_words():
    words = pd.DataFrame({"a": ["red", "green"], "b": [1.0, 2.0]})
    with pytest.raises(ValueError, match="Encode columns that hold words"):
        PixelOrder((1, 2)).fit(words)


def test_masked_pixels_are_missing():
    X = np.ma.masked_array([[1.0, 2.0, 3.0, 4.0]], mask=[[0, 0, 0, 1]])
    np.testing.assert_array_equal(PixelPooling().fit_transform(X), [[2.0]])
    np.testing.assert_array_equal(PixelOrder(order="row").fit_transform(X), [[1, 2, 3, np.nan]])


def test_means_of_the_largest_values():
    largest = np.finfo(float).max
    assert PixelPooling().fit_transform(np.full((1, 4), largest)) == largest


def test_padding_beyond_the_range_of_the_images_is_refused():
    model = PixelPadding((1, 3), padded_shape=(1, 4), fill_value=1e39)
    assert model.fit_transform(np.zeros((1, 3)))[0, -1] == 1e39
    with pytest.raises(ValueError, match="float64"):
        model.fit_transform(np.zeros((1, 3), np.float32))


def test_inverse_checks_the_width():
    with pytest.raises(ValueError, match="4 columns"):
        PixelOrder().fit(np.zeros((1, 4))).inverse_transform(np.zeros((1, 5)))


def test_in_a_pipeline(rng):
    X = rng.normal(size=(60, 16))
    y = X[:, 0] + X[:, 4] > 0
    model = make_pipeline(
        PixelOrder(order="hilbert"),
        MPSClassifier(degree=2, bond_dim=4, alpha=0.1, feature_order="given", random_state=0),
    )
    assert model.fit(X, y).score(X, y) > 0.9


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("embedding", "solver"),
    [
        (Product(Legendre(2), 4, degree=2), "convex"),
        (Amplitude(4), "convex"),
        (Averaged(Trigonometric(1), 4), "convex"),
        (
            Product(Legendre(2), 4, degree=2),
            Adam(init="constant", max_iter=60, learning_rate=0.05),
        ),
    ],
)
def test_a_patch_on_a_site(rng, embedding, solver):
    X = rng.uniform(size=(80, 16)).astype(np.float32)
    X[:, 5] = 0.0
    y = X[:, [0, 1, 4]].sum(axis=1) > X[:, [10, 11, 14, 15]].mean(axis=1) * 3
    model = make_pipeline(
        PixelPatches(),
        MPSClassifier(
            embedding=embedding,
            scaling="minmax",
            bond_dim=4,
            alpha=0.01,
            solver=solver,
            random_state=0,
        ),
    )
    assert model.fit(X, y).score(X, y) > 0.85
    assert model[-1].columns_.n_sites == 4
    X[0, 3] = np.nan
    assert np.isfinite(model.predict_proba(X)).all()


@pytest.mark.parametrize("sides", [((4, 6), "hilbert"), (0, 3), (2.0, 3)])
def test_sides_of_a_path_are_positive_integers(sides):
    with pytest.raises(ValueError, match="height and width must be positive integers"):
        pixel_path(*sides)
