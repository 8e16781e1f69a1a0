"""What a name's extension says a file is. Only listing asks; reading goes by content."""

from __future__ import annotations

import posixpath

IMAGE = "image"
ARCHIVE = "archive"
VIDEO = "video"
LIST = "list"
YAML = "yaml"
OTHER = "other"

IMAGE_EXTENSIONS = frozenset(
    ("jpg", "jpeg", "jfif", "png", "bmp", "webp", "tif", "tiff", "gif", "giff", "jp2", "avif", "heic", "heif")
)
"""heic and heif are decoded by the `heif` extra."""
ARCHIVE_EXTENSIONS = frozenset(["tar", "tgz", "zip", "tbz2", "txz"])
COMPRESSED_TAR_ENDINGS = (".tar.gz", ".tar.bz2", ".tar.xz")
VIDEO_EXTENSIONS = frozenset(["mp4", "avi", "mov", "mkv", "webm", "m4v", "mpg", "mpeg", "wmv", "flv", "3gp"])
LIST_EXTENSIONS = frozenset(["txt", "csv", "lst", "list"])
ANNOTATION_ENDINGS = (".json", ".jsonl", ".parquet", ".xml")
YAML_EXTENSIONS = frozenset(["yaml", "yml"])

_KIND = {
    **dict.fromkeys(IMAGE_EXTENSIONS, IMAGE),
    **dict.fromkeys(ARCHIVE_EXTENSIONS, ARCHIVE),
    **dict.fromkeys(VIDEO_EXTENSIONS, VIDEO),
    **dict.fromkeys(LIST_EXTENSIONS, LIST),
    **dict.fromkeys(YAML_EXTENSIONS, YAML),
}

JUNK_FOLDER = "__MACOSX"
JUNK_PREFIX = "._"
"""AppleDouble side files: they carry an image's name and extension but hold a resource fork."""

_SYSTEM_FOLDERS = frozenset(
    (
        *("$recycle.bin", "system volume information", ".trashes", ".spotlight-v100", ".fseventsd"),
        *("@eadir", ".thumbnails", JUNK_FOLDER.lower()),
    )
)


def kind_of(name: str) -> str:
    """`IMAGE`, `ARCHIVE`, `VIDEO`, `LIST`, `YAML` or `OTHER`, by the extension alone, whatever its case."""
    lower = name.lower()
    kind = _KIND.get(lower[lower.rfind(".") + 1 :], OTHER)
    if kind is OTHER and lower.endswith(COMPRESSED_TAR_ENDINGS):
        return ARCHIVE
    return kind


def is_junk(name: str) -> bool:
    """True for macOS side files, given a bare file name."""
    return name.startswith(JUNK_PREFIX)


def is_system_folder(name: str) -> bool:
    """True for a folder of a system or a photo library, given its bare name: it holds deleted pictures, or thumbnails
    and copies of others."""
    lower = name.lower()
    return lower in _SYSTEM_FOLDERS or lower.startswith(".trash-") or lower.endswith(".photoslibrary")


def is_remote(path: str) -> bool:
    """True for `s3://…` and `minio://…`."""
    return path.startswith(("s3://", "minio://"))


def allowed_extensions() -> str:
    """The known extensions as one line for error messages."""
    return (
        f"images {' '.join(sorted(IMAGE_EXTENSIONS))}; archives {' '.join(sorted(ARCHIVE_EXTENSIONS))} tar.gz; "
        f"videos {' '.join(sorted(VIDEO_EXTENSIONS))}"
    )


def joined(uri: str, name: str) -> str:
    """The object that a relative name means below a prefix.

    `.` and `..` lead as in a folder, but not out of the bucket. Other names are joined as they are: keys may hold
    several slashes in a row.
    """
    if not {".", ".."}.intersection(name.split("/")):
        return f"{uri.rstrip('/')}/{name}"
    scheme, _, rest = uri.partition("://")
    parts = rest.split("/")
    before_key = 2 if scheme == "minio" else 1  # server alias and bucket, or the bucket
    key = posixpath.normpath(posixpath.join("/", *parts[before_key:], name))
    return f"{scheme}://{'/'.join(parts[:before_key])}{key}"
