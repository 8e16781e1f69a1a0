"""Talking to S3 and MinIO: which server, which keys, how long to retry when it is unreachable."""

from __future__ import annotations

import json
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import boto3
import botocore
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)

from fastdup_db import checks, errors
from fastdup_db.errors import BadInput, FastdupError, ImageError, RemoteError
from fastdup_db.sources.direct import POOL, Direct

log = logging.getLogger(__name__)
T = TypeVar("T")

MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
FORBIDDEN = frozenset({"403", "AccessDenied", "AllAccessDisabled", "InvalidObjectState"})
"""Of one object: the others may be readable. InvalidObjectState: it lies in an archive tier."""
BAD_KEYS = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"}
)
PASSING = frozenset(
    {"500", "502", "503", "504", "InternalError", "ServiceUnavailable", "SlowDown", "RequestTimeout", "Throttling"}
)
AWAY = (ConnectionError, HTTPClientError, IncompleteReadError)
"""What botocore raises when the server does not answer, or the answer is cut off."""

PATIENCE_S = float(os.environ.get("FASTDUP_DB_REMOTE_PATIENCE_S", "120"))
"""How long, in seconds, a server that has answered before may be unreachable during a run."""


@dataclass(frozen=True, slots=True)
class Location:
    """`s3://bucket/key` or `minio://alias/bucket/key`, taken apart; key may be a prefix, or empty."""

    alias: str
    bucket: str
    key: str

    @property
    def base(self) -> str:
        """What stands before the key."""
        return f"minio://{self.alias}/{self.bucket}/" if self.alias else f"s3://{self.bucket}/"

    def uri(self, key: str) -> str:
        """The full name of another object in the same bucket."""
        return self.base + key


@dataclass(frozen=True, slots=True)
class Settings:
    """How `s3://` is reached where the environment does not say: no secrets, so a run may store it."""

    endpoint_url: str | None = None
    region: str | None = None
    anonymous: bool = False


_settings = Settings()
_connections: dict[tuple[int, str, Settings], tuple[Any, Direct]] = {}
_lock = threading.Lock()


def configure(settings: Settings) -> None:
    """Sets endpoint, region and anonymous access of `s3://` in this process; `Settings()` is the environment again.

    The environment: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION, AWS_PROFILE and all else that boto3 reads;
    FASTDUP_S3_ENDPOINT_URL as in fastdup; AWS_NO_SIGN_REQUEST=1 for public buckets.
    """
    global _settings
    _settings = settings


@contextmanager
def reached(settings: Settings) -> Iterator[None]:
    """Use these settings for `s3://` in this process during a block; default settings change nothing."""
    before = _settings
    if settings != Settings():
        configure(settings)
    try:
        yield
    finally:
        configure(before)


def server() -> Settings:
    """How `s3://` is reached in this process now: the settings, else the environment. Keys are not among it."""
    named = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return Settings(
        _settings.endpoint_url or named or os.environ.get("FASTDUP_S3_ENDPOINT_URL") or None,
        _settings.region or os.environ.get("AWS_REGION"),
        _settings.anonymous or os.environ.get("AWS_NO_SIGN_REQUEST", "").lower() in ("1", "true", "yes"),
    )


def parse(uri: str) -> Location:
    """Takes an URL apart. Raises `BadInput` when it names no bucket."""
    scheme, _, rest = uri.partition("://")
    alias = ""
    if scheme == "minio":
        alias, _, rest = rest.partition("/")
    bucket, _, key = rest.partition("/")
    if scheme not in ("s3", "minio") or not bucket or (scheme == "minio" and not alias):
        raise BadInput(f"{uri!r} names no bucket; allowed: s3://bucket/prefix, minio://alias/bucket/prefix")
    return Location(alias, bucket, key)


def client(location: Location) -> Any:
    """The boto3 client for a location, one for each server and process, shared by all threads."""
    return _connection(location)[0]


def direct(location: Location) -> Direct:
    """The fast path to the same server, for the many small reads."""
    return _connection(location)[1]


def _connection(location: Location) -> tuple[Any, Direct]:
    key = (os.getpid(), location.alias, _settings)
    found = _connections.get(key)
    if found is None:
        with _lock:
            if key not in _connections:
                _connections[key] = _minio(location.alias) if location.alias else _s3(server())
            found = _connections[key]
    return found


def call(what: str, work: Callable[[], T], *, patient: bool = True) -> T:
    """Call `work()`, retrying for up to `PATIENCE_S` seconds while the server is unreachable or overloaded.

    Raises `ImageError` for an object that is missing or forbidden, `RemoteError` for what concerns the whole server
    (bad keys, retries exhausted), `BadInput` for a bucket that does not exist. No message holds a secret.
    """
    deadline = time.monotonic() + (PATIENCE_S if patient else 0)
    pause = 0.1
    while True:
        try:
            return work()
        except (BotoCoreError, ClientError, Boto3Error) as raised:
            # boto3's transfers wrap what happened into texts of their own
            exc = raised.__context__ if isinstance(raised.__context__, BotoCoreError | ClientError) else raised
            if not _passes(exc) or time.monotonic() >= deadline:
                raise _translated(what, exc) from exc
            log.warning("%s: %s; trying again in %.1f s", what, type(exc).__name__, pause)
        time.sleep(pause * random.uniform(0.8, 1.2))
        pause = min(pause * 2, 5.0)


def code_in(exc: BaseException) -> str:
    """The server's error code, or empty."""
    return str(exc.response.get("Error", {}).get("Code", "")) if isinstance(exc, ClientError) else ""


def _passes(exc: BaseException) -> bool:
    return isinstance(exc, AWAY) or code_in(exc) in PASSING


def _translated(what: str, exc: BaseException) -> FastdupError:
    code = code_in(exc)
    if code == "NoSuchBucket":
        return BadInput(f"{what}: the bucket does not exist")
    if code in MISSING:
        return ImageError(errors.MISSING_FILE, f"{what}: {code}")
    if code in FORBIDDEN:
        return ImageError(errors.UNREADABLE_FILE, f"{what}: {code}")
    if code in BAD_KEYS:
        return RemoteError(f"{what}: the server refuses the credentials ({code})")
    if isinstance(exc, NoCredentialsError | PartialCredentialsError):
        return RemoteError(
            f"{what}: no credentials found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, "
            "or AWS_NO_SIGN_REQUEST=1 for a public bucket"
        )
    if isinstance(exc, ParamValidationError):
        return BadInput(f"{what}: no valid name of a bucket or an object")
    if isinstance(exc, AWAY):
        return RemoteError(f"{what}: the server does not answer ({type(exc).__name__})")
    return RemoteError(f"{what}: {code or type(exc).__name__}")


def _s3(settings: Settings) -> tuple[Any, Direct]:
    session = boto3.session.Session(region_name=settings.region)
    return _connect(session, settings.endpoint_url, public=settings.anonymous)


def _minio(alias: str) -> tuple[Any, Direct]:
    entry = _alias(alias)
    session = boto3.session.Session(
        aws_access_key_id=entry.get("accessKey") or None,
        aws_secret_access_key=entry.get("secretKey") or None,
        aws_session_token=entry.get("sessionToken") or None,
        region_name=os.environ.get("AWS_REGION"),
    )
    return _connect(session, entry.get("url") or "", public=not entry.get("accessKey"))


def _connect(session: Any, endpoint: str | None, *, public: bool) -> tuple[Any, Direct]:
    if endpoint is not None and not checks.is_address(endpoint):
        shown = endpoint.rpartition("@")[2]  # what stands before it may be a secret
        raise BadInput(f"the S3 endpoint {shown!r} is no server's address; give http://host:port or https://host")
    region = session.region_name or "us-east-1"
    clients = {
        unsigned: session.client("s3", endpoint_url=endpoint, region_name=region, config=_config(unsigned, endpoint))
        for unsigned in (public, True)
    }
    credentials = None if public else session.get_credentials()
    return clients[public], Direct(clients[True], credentials, region)


def _config(unsigned: bool, endpoint: str | None) -> Config:
    return Config(
        max_pool_connections=POOL,
        connect_timeout=10,
        read_timeout=60,
        retries={"mode": "standard", "max_attempts": 3},
        signature_version=botocore.UNSIGNED if unsigned else None,
        # servers other than Amazon's seldom have a host name for each bucket, nor know the newer checksums
        s3={"addressing_style": "path" if endpoint else "auto"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


def _alias(alias: str) -> dict[str, str]:
    """An mc alias: from `MC_HOST_<alias>` (`scheme://key:secret@host`), else from mc's config file.

    Raises `BadInput` naming the aliases there are.
    """
    named = os.environ.get(f"MC_HOST_{alias}")
    if named is not None:
        parts = urlsplit(named)
        if not parts.scheme or not parts.hostname:
            raise BadInput(f"MC_HOST_{alias} is not of the form scheme://key:secret@host")
        secret, _, token = (parts.password or "").partition(":")
        found = {"accessKey": unquote(parts.username or ""), "secretKey": unquote(secret), "sessionToken": token}
        return {"url": f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", **found}
    aliases = _mc_config()
    if alias not in aliases:
        there = sorted({*aliases, *(n[8:] for n in os.environ if n.startswith("MC_HOST_"))})
        raise BadInput(
            f"minio alias {alias!r} is unknown; known: {', '.join(there) or 'none'}. "
            f"Set MC_HOST_{alias}=scheme://key:secret@host, or use: mc alias set {alias} …"
        )
    return aliases[alias]


def _mc_config() -> dict[str, dict[str, str]]:
    path = Path(os.environ.get("MC_CONFIG_DIR") or Path.home() / ".mc") / "config.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        raise BadInput(f"{path} cannot be read as mc's configuration ({type(exc).__name__})") from exc
    return dict(content.get("aliases") or content.get("hosts") or {})
