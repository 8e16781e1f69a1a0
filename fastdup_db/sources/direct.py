"""A signed GET without boto3's machinery around it, which costs more of a processor than a small image's decoding.

Addresses, keys, signatures and the HTTP session are botocore's own. Whatever is not a plain success is left to boto3,
which knows redirects, regions and the server's error texts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import urllib3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

POOL = 128


@dataclass(slots=True)
class Direct:
    """One server. locator: an unsigned client, asked for addresses only. credentials: None for public buckets."""

    locator: Any
    credentials: Any
    region: str
    _session: URLLib3Session = field(init=False)
    _declined: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self._session = URLLib3Session(
            verify=os.environ.get("AWS_CA_BUNDLE") or True,
            proxies=get_environ_proxies(self.locator.meta.endpoint_url),
            timeout=(10, 60),
            max_pool_connections=POOL,
        )

    def get(self, bucket: str, key: str, *, asked: str = "", limit: int) -> bytes | None:
        """An object's bytes, or those of a range `bytes=a-b`; None when boto3 should try instead."""
        if bucket in self._declined:
            return None
        try:
            url = self.locator.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key})
            headers = {"Range": asked} if asked else {}
            request = AWSRequest("GET", url, headers=headers, stream_output=True)
            if self.credentials is not None:
                S3SigV4Auth(self.credentials.get_frozen_credentials(), "s3", self.region).add_auth(request)
            answer = self._session.send(request.prepare())
            if answer.status_code != (206 if asked else 200) or int(answer.headers["Content-Length"]) > limit:
                if answer.status_code in (301, 307, 400):  # another region, or a way of signing we do not know
                    self._declined.add(bucket)
                answer.raw.drain_conn() if answer.status_code >= 300 else answer.raw.close()
                return None
            # botocore has urllib3 take a connection that breaks off for the end of the object
            return answer.content if len(answer.content) == int(answer.headers["Content-Length"]) else None
        except (BotoCoreError, urllib3.exceptions.HTTPError, KeyError):
            return None
