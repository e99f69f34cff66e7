"""Environment variables by which the user sets credentials and endpoints of object stores."""

from __future__ import annotations

import os
import re

from shapecnn.errors import ObjectStoreError

_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
_WORDS = {
    "s3": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"),
}
_ENDPOINT = re.compile(  # user name and password, host, port, path
    r"https?://([\w.~!$&'()*+,;=:%-]*@)?(\[[\da-f:.]+\]|[\w.-]+)(:(?P<port>\d{1,5}))?(/[\w.~!$&'()*+,;=:%/-]*)?",
    re.ASCII | re.IGNORECASE,
)
_LARGEST_PORT = 65535


def require_variables(bucket: str) -> None:
    """Check the environment variables of a provider: with wrong values, obstore would end in a panic of Rust.

    Args:
        bucket: URL of a bucket.

    Raises:
        ObjectStoreError: An endpoint is no URL, or another value has a space or a line break, as keys have that were
            read from a file. The value is not in the message, because it may be or hold a password.
    """
    scheme = bucket.partition(":")[0]
    for name in _ENDPOINTS.get(scheme, ()):
        match = _ENDPOINT.fullmatch(os.environ.get(name, "http://localhost"))
        if match is None or int(match["port"] or 0) > _LARGEST_PORT:
            raise ObjectStoreError(
                f"{bucket}: the value of {name} is not a URL such as http://localhost:9000. Correct or unset it; in a "
                f"user name or password, write special characters as %40 for @."
            )
    for name in _WORDS.get(scheme, ()):
        if re.search(r"[^!-~]", os.environ.get(name, "")):
            raise ObjectStoreError(
                f"{bucket}: the value of {name} has a space, a line break or a letter that is not ASCII. Correct it."
            )


def plain_http() -> bool:
    """Return whether the user has set an endpoint without encryption, such as a server on this machine."""
    owners = ("AWS_", "AZURE_", "GOOGLE_")
    return any(
        name.startswith(owners) and "ENDPOINT" in name and value.lower().startswith("http://")
        for name, value in os.environ.items()
    )
