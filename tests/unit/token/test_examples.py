import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize("name", ["base45", "cbor", "purpose"])
def test_the_examples_in_the_documentation_are_true(name):
    failed, tried = doctest.testmod(import_module(f"edge.token.{name}"))
    assert tried
    assert not failed
