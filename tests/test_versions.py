"""What a report of a fault should say."""

import sktn


def test_versions_of_python_and_of_every_package_are_printed(capsys):
    sktn.show_versions()
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["sktn"] == sktn.__version__
    assert {"python", "platform", "numpy", "scipy", "scikit-learn", "jax", "pandas"} <= set(lines)
    assert "not installed" not in lines["numpy"]
