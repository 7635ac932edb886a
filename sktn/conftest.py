"""Examples of modules that need packages which are not installed are left out."""

from importlib.util import find_spec

OPTIONAL = {"interchange/networks.py": ("quimb", "tensorly")}
collect_ignore = [module for module, needed in OPTIONAL.items() if not all(map(find_spec, needed))]
