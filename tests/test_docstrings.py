"""Docstrings of the public surface: what doc/api lists has an example, and a sentence for every
parameter, whose default is the one that is said."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import numpy as np
import pytest

docscrape = pytest.importorskip("numpydoc.docscrape", reason="belongs to sktn[docs]")
ClassDoc, FunctionDoc = docscrape.ClassDoc, docscrape.FunctionDoc

API = Path(__file__).parents[1] / "doc" / "api"


def listed():
    """Names below sktn that the API pages list"""
    text = "\n".join(page.read_text() for page in sorted(API.glob("*.rst")))
    blocks = re.findall(r"\.\. autosummary::\n(.*?)(?=\n\S|\Z)", text, re.DOTALL)
    return [
        name for block in blocks for name in re.findall(r"^   (\w[\w.]*)$", block, re.MULTILINE)
    ]


def public(name):
    """The object: an attribute of a module of sktn, or a module"""
    module, _, attribute = f"sktn.{name}".rpartition(".")
    found = importlib.import_module(module)
    return getattr(found, attribute, None) or importlib.import_module(f"sktn.{name}")


NAMES = listed()
OBJECTS = [name for name in NAMES if not inspect.ismodule(public(name))]


def test_names_of_the_package_are_listed():
    import sktn

    values = {"__version__", "RGSearch"}
    assert set(sktn.__all__) - values <= set(NAMES)
    assert len(NAMES) == len(set(NAMES)) > 60


def examples(thing):
    """Docstrings that may hold the example: the object's own, a method's, or, of a record, that of
    the function which makes it"""
    own = inspect.getdoc(thing)
    yield own
    if inspect.isclass(thing):
        yield from (
            inspect.getdoc(value) or "" for value in vars(thing).values() if callable(value)
        )
        yield from (
            value.__func__.__doc__ for value in vars(thing).values() if hasattr(value, "__func__")
        )
    maker = re.search(r"returns?\b|\bmade by\b", own.split("\n\n")[0])
    if maker:
        name = re.search(r":func:`~?(\w+)`", own)[1]
        yield inspect.getdoc(getattr(inspect.getmodule(thing), name))


@pytest.mark.parametrize("name", NAMES)
def test_there_is_an_example(name):
    assert any(">>> " in text for text in examples(public(name)))


def arguments(thing):
    """Names of the parameters of a call"""
    signature = inspect.signature(thing.__init__ if inspect.isclass(thing) else thing)
    if hasattr(thing, "_fields"):
        return thing._fields
    return [
        ("*" if p.kind is p.VAR_POSITIONAL else "**" if p.kind is p.VAR_KEYWORD else "") + p.name
        for p in signature.parameters.values()
        if p.name != "self"
    ]


def documented(doc):
    """{name: its sentences} of a section of parameters; one entry may have several names"""
    sections = ("Parameters", "Other Parameters", "Attributes")
    entries = [entry for name in sections if name in doc for entry in doc[name]]
    # numpydoc adds attributes that it finds by itself, without a sentence.
    return {
        name.strip(): text
        for entry in entries
        if (text := " ".join(entry.desc).strip())
        for name in entry.name.split(",")
    }


@pytest.mark.parametrize("name", OBJECTS)
def test_every_parameter_has_a_sentence(name):
    thing = public(name)
    found = documented(ClassDoc(thing) if inspect.isclass(thing) else FunctionDoc(thing))
    missing = [argument for argument in arguments(thing) if argument not in found]
    assert missing == []


def methods(name):
    """(name, function) of the methods that an estimator defines"""
    for key, value in vars(public(name)).items():
        if inspect.isfunction(value) and not key.startswith("_") and value.__doc__:
            yield f"{name}.{key}", value


ESTIMATORS = [
    name for name in OBJECTS if inspect.isclass(public(name)) and hasattr(public(name), "fit")
]
METHODS = dict(pair for name in ESTIMATORS for pair in methods(name))


@pytest.mark.parametrize("name", METHODS)
def test_every_parameter_of_a_method_is_described(name):
    entries = FunctionDoc(METHODS[name])["Parameters"]
    found = {part.strip() for entry in entries for part in entry.name.split(",")}
    missing = [argument for argument in arguments(METHODS[name])[1:] if argument not in found]
    assert missing == []


def same(said, default):
    """Whether the words of a docstring are a default; of a long list its ends are said."""
    if "..." in said:
        first, last = said.strip("()").split(", ..., ")
        ends = float(first.split(",")[0]), float(last)
        return np.allclose(ends, (default[0], default[-1]), rtol=0.01)
    if isinstance(default, type):
        return said.rpartition(".")[2] == default.__name__
    try:
        return ast.literal_eval(said) == default
    except (ValueError, SyntaxError):
        return said == repr(default)


@pytest.mark.parametrize("name", [*OBJECTS, *METHODS])
def test_defaults_are_those_that_are_documented(name):
    thing = METHODS[name] if name in METHODS else public(name)
    doc = (ClassDoc if inspect.isclass(thing) else FunctionDoc)(thing)
    entries = [*doc["Parameters"], *doc["Other Parameters"]]
    types = {part.strip(): entry.type for entry in entries for part in entry.name.split(",")}
    made = inspect.isclass(thing) and not hasattr(thing, "_fields")
    for parameter in inspect.signature(thing.__init__ if made else thing).parameters.values():
        type_ = types.get(parameter.name, "Ignored")
        if parameter.default is not parameter.empty and not type_.startswith("Ignored"):
            said = re.search(r"default=(.+)$", type_)[1].strip().strip("`")
            assert same(said, parameter.default), parameter.name
