"""No password of a camera's address survives redaction."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.naming import source_name, unique_name
from pipeline.sources.url import is_address, redact, redact_address


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://admin:secret@10.0.0.7:554/ch1", "rtsp://***@10.0.0.7:554/ch1"),
        ("rtsp://admin:p@ss:w@10.0.0.7/ch1?a=1", "rtsp://***@10.0.0.7/ch1?a=1"),
        ("rtsp://admin:pa/ss@10.0.0.7/ch1", "rtsp://***@10.0.0.7/ch1"),
        ("rtsp://admin:pa#s?s@10.0.0.7/ch1", "rtsp://***@10.0.0.7/ch1"),
        ("rtsp://admin@10.0.0.7/ch1", "rtsp://***@10.0.0.7/ch1"),
        ("http://10.0.0.7/video?user=me&pwd=secret&size=2", "http://10.0.0.7/video?user=***&pwd=***&size=2"),
        ("https://host/live.m3u8?access_token=abc", "https://host/live.m3u8?access_token=***"),
        ("rtsp://10.0.0.7:554/ch1/main", "rtsp://10.0.0.7:554/ch1/main"),
        ("rtsp://admin:1/2@10.0.0.7/ch1", "rtsp://***@10.0.0.7/ch1"),
        ("http://[::1]:80/a", "http://[::1]:80/a"),
        (
            "rtsp://10.0.0.7/user=admin_password=secret_channel=1_stream=0.sdp",
            "rtsp://10.0.0.7/user=***_password=***_channel=1_stream=0.sdp",
        ),
        ("rtsp://10.0.0.7/user=admin&password=se_cret&channel=1", "rtsp://10.0.0.7/user=***&password=***&channel=1"),
        (
            "http://10.0.0.7/video.cgi?loginuse=admin&loginpas=secret",
            "http://10.0.0.7/video.cgi?loginuse=***&loginpas=***",
        ),
        ("https://host/a?token=a/b_c=", "https://host/a?token=***"),
        ("rtsp://10.0.0.7/user=me_password=x@secret_channel=1.sdp", "rtsp://***@***_channel=1.sdp"),
        ("http://10.0.0.7/a?loginpas=x@secret&size=1", "http://***@***&size=1"),
        ("http://10.0.0.7/a?token=x@secret_c=secret&size=1", "http://***@***&size=1"),
        ("rtsp://10.0.0.7/user=me&password=x/secret&channel=1", "rtsp://10.0.0.7/user=***&password=***&channel=1"),
        ("clips/street.mp4", "clips/street.mp4"),
        ("webcam:0", "webcam:0"),
    ],
)
def test_what_is_shown_of_an_address(address: str, shown: str) -> None:
    assert redact(address) == redact_address(address) == shown
    assert "secret" not in unique_name(source_name(address), set())


@given(st.text(alphabet=st.characters(exclude_categories=["Z", "C"], exclude_characters="'\"<>"), min_size=8))
def test_no_password_is_ever_shown(password: str) -> None:
    message = f"rtsp://admin:{password}@10.0.0.7/ch1: the camera closed the connection"
    assert redact(message) == "rtsp://***@10.0.0.7/ch1: the camera closed the connection"


@given(st.text(alphabet=st.characters(exclude_categories=["C"]), min_size=8))
def test_no_password_of_a_whole_address_is_ever_shown(password: str) -> None:
    assert redact_address(f"rtsp://admin:{password}@10.0.0.7/ch1") == "rtsp://***@10.0.0.7/ch1"


def test_addresses_are_told_from_files() -> None:
    assert is_address("RTSP://host/a")
    assert is_address("https://host/a.mp4")
    assert not is_address("rtsp.mp4")
    assert not is_address("webcam:0")
