"""
Compress a stack of images
==========================

Handwritten digits as a tensor of samples, rows and columns: the smallest network found for each
error, next to a tensor train of the same error.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from sktn import NetworkDisplay, RGTNDecomposer, TTDecomposer
from sktn.display import plot_history

images = load_digits().images[:300]
errors = [0.5, 0.4, 0.3]
models = [RGTNDecomposer(e, random_state=0).fit(images) for e in errors]
trains = [TTDecomposer(e).fit(images) for e in errors]
for model, train in zip(models, trains, strict=True):
    print(
        f"error {model.reconstruction_error_:.2f}: {100 * model.compression_ratio_:.1f} % of the "
        f"entries, tensor train {100 * train.compression_ratio_:.1f} %"
    )

fig, axes = plt.subplots(2, 4, figsize=(10, 5.5))
for column in range(3):
    axes[0, column].imshow(models[column].to_tensor()[5], cmap="gray_r")
    axes[0, column].set_title(f"error {errors[column]}")
    NetworkDisplay.from_estimator(models[column], ax=axes[1, column])
axes[0, 3].imshow(images[5], cmap="gray_r")
axes[0, 3].set_title("original")
for ax in (*axes[0], axes[1, 3]):
    ax.set_axis_off()
plt.tight_layout()
plt.show()

# %%
# In the drawings circles are the modes (0: samples, 1: rows, 2: columns) with their sizes beside
# them, and lines the bonds with their dimensions; a shaded mode was split in factors. How the
# search came to the last one: filled circles meet the error, the line is the smallest so far.
plot_history(models[-1])
plt.show()
