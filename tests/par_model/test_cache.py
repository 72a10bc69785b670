from pathlib import Path

import pytest

from par_model.cache import user_cache


def test_the_cache_goes_where_the_user_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIDEWALK_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/ann")
    assert user_cache() == Path("/home/ann/.cache/sidewalk")
    monkeypatch.setenv("XDG_CACHE_HOME", "/fast")
    assert user_cache() == Path("/fast/sidewalk")
    monkeypatch.setenv("SIDEWALK_CACHE", "~/models")
    assert user_cache() == Path("/home/ann/models")
    monkeypatch.setenv("SIDEWALK_CACHE", "")
    assert user_cache() == Path("/fast/sidewalk")
