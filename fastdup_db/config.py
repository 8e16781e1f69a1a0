"""Every argument of `run()`: its default, its unit and its check, once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any
from urllib.parse import urlsplit

from fastdup_db import checks
from fastdup_db.errors import BadArgument

FLAT_METRICS = ("l1", "linf", "canberra", "braycurtis", "jensenshannon")
METRICS = ("cosine", "euclidean", *FLAT_METRICS)
DATA_TYPES = ("infer", "image", "bbox")
OF_BOXES = ("boxes", "detect")
"""The kinds of instances (`RunRequest.mode`; `data_type` of a stored run) that an image may hold several of."""
ENGINES = ("local", "ray")
VERIFY = ("off", "auto", "all")
EXTRACT_ONLY, GRAPH_ONLY, LOOK_UP = 1, 2, (3, 4)
"""v0's run_modes: stop after the embeddings are stored; make the graph of stored embeddings; look for the neighbours of
`test_dir` among the stored images. 0 does everything."""
RUN_MODES = (0, EXTRACT_ONLY, GRAPH_ONLY, *LOOK_UP)

_ALIASES = {"lower_threshold": "outlier_percentile", "ccthreshold": "cc_threshold"}
# v0 arguments that tune fastdup's native code or its licence, or ask for what every run does here: taken so that
# scripts run, without any effect
_WITHOUT_EFFECT = frozenset(
    "license compute nn_provider nnmodel batch_size version run_sentry store_int shorten_filenames quiet run_fast "
    "num_onnx_inter_threads num_onnx_intra_threads is_clip14_model global_log_error_level no_sort "
    "fastdup_ocr_lang fastdup_ocr_no_crop save_thumbnails resume".split()
)


@dataclass(frozen=True, slots=True)
class RunConfig:
    """The settings of one run, checked.

    Fractions lie in [0, 1]; margins are fractions of the box or pixels; `frame` rates are per second.

    threshold, cc_threshold: similarities. With the bundled models 0.9 is the line of near-duplicates, and images that
    have nothing in common lie between 0.71 and 0.78 (`graph.adapt.UNRELATED`). With `adapt=False`, and for vectors of
    your own, they are plain cosines.

    nnf_mode, nnf_param: the index that searches use, built from 50,000 images on: 'Flat' (none; neighbours and searches
    are exact), 'HNSW<m>', 'IVF_SQ', 'IVF_FLAT', 'IVF_PQ', 'IVF_RQ', 'IVF_HNSW_SQ', 'IVF_HNSW_PQ', with parameters as
    'name=1,name=2'; also 'IVF<lists>,Flat', as faiss says it. The default, 'HNSW32' without building parameters, is
    built as IVF_RQ (short vectors: IVF_SQ): as exact, in a fraction of the time (`graph.index.run_index_kind`).
    `fd.config` says what was built.
    """

    data_type: str = "infer"
    overwrite: bool = True
    model_path: str | None = None
    d: int | None = None
    high_accuracy: bool = False
    distance: str = "cosine"
    nearest_neighbors_k: int = 2
    threshold: float = 0.9
    cc_threshold: float = 0.96
    outlier_percentile: float = 0.05
    adapt: bool | None = None
    nnf_mode: str = "HNSW32"
    nnf_param: str | Mapping[str, Any] = ""
    num_threads: int | None = None
    num_images: int | None = None
    min_offset: int | None = None
    max_offset: int | None = None
    min_file_size: int = 0
    min_input_image_width: int = 10
    min_input_image_height: int = 10
    find_regex: str = ""
    label_from_folder: bool = False
    tar_only: bool = False
    video_fps: float = 1.0
    video_keyframes_only: bool = False
    run_stats: bool = True
    run_advanced_stats: bool = False
    run_cc: bool = True
    run_mode: int = 0
    run_stats_only: bool = False
    test_dir: str | None = None
    bounding_box: str | None = None
    augmentation_horiz: float | None = None
    augmentation_vert: float | None = None
    augmentation_additive_margin: int = 0
    save_crops: bool = False
    sync_s3_to_local: bool = False
    delete_img: bool = False
    delete_tar: bool = False
    s3_endpoint_url: str | None = None
    s3_region: str | None = None
    s3_anonymous: bool = False
    verify: str = "off"
    verify_k: int | None = None
    engine: str = "local"
    ray_address: str | None = None
    resources: Mapping[str, Any] | None = None
    model_input: Mapping[str, Any] | None = None
    progress: bool = True
    print_summary: bool = False
    verbose: bool = False

    @classmethod
    def from_arguments(cls, arguments: Mapping[str, Any]) -> RunConfig:
        """Settings from the keyword arguments of `run()`; `BadArgument` says what is allowed."""
        known = {f.name for f in fields(cls)}
        given: dict[str, Any] = {}
        for name, value in arguments.items():
            target = _ALIASES.get(name, name)
            if target in _WITHOUT_EFFECT:
                continue
            if target == "turi_param":
                given.update(parse_turi_param(value))
            elif target not in known:
                allowed = ", ".join(sorted(known | set(_ALIASES) | _WITHOUT_EFFECT | {"turi_param"}))
                raise BadArgument(f"run() has no argument {name!r}; allowed: {allowed}")
            else:
                is_text = isinstance(value, str) and _KINDS[target] in ("int", "float")
                given[target] = _read(name, value, _KINDS[target]) if is_text else value
        given = {k: v for k, v in given.items() if v is not None or k in _OPTIONAL}
        config = cls(**given)
        config._check()
        return config

    @classmethod
    def from_json(cls, text: str) -> RunConfig:
        """The settings that `to_json` stored; those this version does not know are left out."""
        known = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in json.loads(text).items() if name in known})

    def fingerprint(self) -> str:
        """What decides how an image becomes rows and a vector; a run can only be added to one with the same."""
        return json.dumps({name: getattr(self, name) for name in _EXTRACTION}, sort_keys=True, default=str)

    def to_json(self) -> str:
        """All settings, for the `runs` table."""
        return json.dumps(asdict(self), sort_keys=True, default=str)

    @property
    def model_name(self) -> str:
        """What `models` opens: a name of the catalogue, or a path."""
        return self.model_path or ("high_accuracy" if self.high_accuracy else "default")

    @property
    def has_margins(self) -> bool:
        """Whether a multiplicative margin was asked for."""
        return bool(self.augmentation_horiz or self.augmentation_vert)

    @property
    def lists(self) -> bool:
        """Whether the run lists its input; otherwise it works on the images already stored."""
        return self.run_mode != GRAPH_ONLY

    @property
    def finds_neighbors(self) -> bool:
        """Whether the run looks for the neighbours of its images."""
        return self.run_mode != EXTRACT_ONLY and not self.run_stats_only

    @property
    def needs_stored(self) -> bool:
        """Whether the run builds on what an earlier one has stored."""
        return self.run_mode in (GRAPH_ONLY, *LOOK_UP)

    def _check(self) -> None:
        """Refuse what is not allowed; convert numbers and flags of other libraries to Python's own."""
        if self.num_threads == -1:  # fastdup's word for all cores
            self._set("num_threads", None)
        self._convert(_FLAGS, checks.flag)
        self._convert(_WHOLE, lambda name, value: checks.at_least(name, value, _WHOLE[name]))
        self._convert(_FRACTIONS, lambda name, value: checks.between(name, value, 0.0, 1.0))
        self._convert(("model_path",), lambda _, value: str(value))
        self._convert(_TEXTS, checks.text)
        if not isinstance(self.nnf_param, str | Mapping):
            raise BadArgument(f"nnf_param={self.nnf_param!r}; allowed: 'name=value,name=value' or a dict")
        if self.model_path and self.high_accuracy:
            raise BadArgument("high_accuracy is a variant of the default model; give it or model_path, not both")
        checks.member("data_type", self.data_type, DATA_TYPES)
        checks.member("distance", self.distance, METRICS)
        checks.member("engine", self.engine, ENGINES)
        checks.member("verify", self.verify, VERIFY)
        if self.run_mode not in RUN_MODES:
            raise BadArgument(f"run_mode={self.run_mode!r} is unknown; allowed: {list(RUN_MODES)}")
        self._set("video_fps", checks.rate("video_fps", self.video_fps))
        if self.max_offset == 0:  # fastdup's word for no limit
            self._set("max_offset", None)
        checks.offsets(self.min_offset, self.max_offset)
        checks.pattern("find_regex", self.find_regex)
        if self.has_margins and self.augmentation_additive_margin:
            raise BadArgument(
                "augmentation_horiz/augmentation_vert and augmentation_additive_margin exclude each other: "
                "the margin is either a fraction of the box or a number of pixels"
            )
        if self.distance in FLAT_METRICS and self.nnf_mode != "Flat":
            raise BadArgument(f"distance={self.distance!r} needs nnf_mode='Flat'; others: 'cosine', 'euclidean'")
        if self.s3_endpoint_url is not None:
            _server("s3_endpoint_url", self.s3_endpoint_url)
        self._set("test_dir", str(self.test_dir) if self.test_dir else None)
        if self.run_mode in LOOK_UP and not self.test_dir:
            raise BadArgument(f"run_mode={self.run_mode} needs test_dir: the images to look up among the stored ones")

    def _convert(self, names: Iterable[str], check: Callable[[str, Any], Any]) -> None:
        """Set each of these settings to what `check` makes of it; None stays None."""
        for name in names:
            value = getattr(self, name)
            if value is not None:
                self._set(name, check(name, value))

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


_WHOLE = dict.fromkeys(("nearest_neighbors_k", "min_input_image_width", "min_input_image_height"), 1)
_WHOLE |= dict.fromkeys(("num_threads", "d", "verify_k"), 1)
_WHOLE |= dict.fromkeys(("num_images", "min_offset", "max_offset", "min_file_size", "augmentation_additive_margin"), 0)
_WHOLE |= {"run_mode": 0}
"""Whole numbers: name → the least that is allowed."""
_FRACTIONS = ("threshold", "cc_threshold", "outlier_percentile", "augmentation_horiz", "augmentation_vert")
_OPTIONAL = frozenset(f.name for f in fields(RunConfig) if f.default is None)
_KINDS = {f.name: str(f.type).partition(" | ")[0] for f in fields(RunConfig)}
"""Name → 'bool', 'int', 'float', 'str' or 'Mapping[str, Any]'."""
_FLAGS = tuple(name for name, kind in _KINDS.items() if kind == "bool")
_TEXTS = tuple(name for name, kind in _KINDS.items() if kind == "str" and name not in ("test_dir", "nnf_param"))
_EXTRACTION = (
    "model_path d high_accuracy model_input bounding_box augmentation_horiz augmentation_vert "
    "augmentation_additive_margin min_input_image_width min_input_image_height run_stats run_advanced_stats "
    "video_fps video_keyframes_only run_stats_only"
).split()


def parse_turi_param(text: str) -> dict[str, Any]:
    """v0's `turi_param='name=value,name=value'` as run() arguments; names unknown to run() are refused there."""
    if not text:
        return {}
    if not isinstance(text, str):
        raise BadArgument(f"turi_param={text!r}; allowed: 'name=value,name=value'")
    return parse_settings(text.rstrip(", ").split(","), argument=f"turi_param={text!r}")


def turi_pairs(text: str) -> dict[str, str]:
    """The names and values of a `turi_param` as texts, also of settings that run() has no use for."""
    pairs = (pair.partition("=") for pair in text.split(","))
    return {name.strip(): value.strip() for name, separator, value in pairs if separator}


def parse_settings(pairs: Iterable[str], *, argument: str) -> dict[str, Any]:
    """Texts 'name=value' as run() arguments of their kinds. argument: what they were given as, for messages."""
    parsed: dict[str, Any] = {}
    for pair in pairs:
        name, separator, value = (part.strip() for part in pair.partition("="))
        target = _ALIASES.get(name, name)
        if not separator:
            raise BadArgument(f"{argument}; allowed: 'name=value'")
        if target in _WITHOUT_EFFECT:
            continue
        if target not in _KINDS:
            raise BadArgument(f"{argument} has no {name!r}; allowed: {', '.join(sorted(_KINDS))}")
        parsed[target] = _read(name, value, _KINDS[target])
    return parsed


def _read(name: str, value: str, kind: str) -> Any:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if kind == "bool":
        if value.lower() not in words:
            raise BadArgument(f"{name}={value!r}; allowed: {', '.join(words)}")
        return words[value.lower()]
    if kind.startswith("Mapping"):
        try:
            read = json.loads(value)
        except ValueError:
            read = None
        if not isinstance(read, dict):
            raise BadArgument(f"{name}={value!r}; allowed: a JSON object")
        return read
    if kind not in ("int", "float"):
        return value
    try:
        number = float(value)
    except ValueError:
        raise BadArgument(f"{name}={value!r}; allowed: a number") from None
    return int(number) if kind == "int" and number.is_integer() else number


def _server(name: str, value: str) -> None:
    """An URL without credentials: it is stored with the run. The message does not repeat it."""
    if not checks.is_address(str(value)):
        raise BadArgument(f"{name}; allowed: http://host:port or https://host:port")
    parts = urlsplit(str(value))
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise BadArgument(f"{name} must not hold credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
