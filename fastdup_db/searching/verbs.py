"""The verbs of search, for the controller."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdup_db.errors import BadArgument
from fastdup_db.searching.features import feature_vector, feature_vectors

if TYPE_CHECKING:
    import pandas as pd

    from fastdup_db.searching.search import Search


class SearchVerbs:
    """`init_search`, `search`, `vector_search` and `cross_similarity` of one work_dir."""

    _work_dir: Path
    _search: Search | None = None

    feature_vector = staticmethod(feature_vector)
    feature_vectors = staticmethod(feature_vectors)

    def init_search(
        self,
        k: int = 10,
        work_dir: str | Path | bool | None = None,
        d: int | str | None = None,
        model_path: str | None = None,
        verbose: bool = False,
        license: str = "",
        store_int: bool | int = 0,
        turi_param: str = "",
        threshold: float = 0.0,
    ) -> int:
        """Get ready to search, the index read into memory. Optional: a first search without it uses the defaults.

        Args:
            k: answers per query.
            work_dir: another one than this object's.
            d: what you expect; another width than the stored one raises `BadArgument`.
            model_path: the model of query images; that of the run by default. Its width must be the stored one.
            verbose, license: without effect, taken so that scripts run; also in fastdup's place, behind k.
            store_int: 1 for ids in the column `to` instead of file names.
            turi_param: 'nnf_param=nprobes=32' and the like: parameters of the index.
            threshold: lowest similarity of an answer; 0 (the default) for no limit. fastdup's 0.7 is a plain cosine,
                ours is calibrated so that copies are above 0.9.

        Returns:
            0.

        Raises:
            NotRun: where no run has found neighbours.
        """
        from fastdup_db.searching import search

        if isinstance(work_dir, bool):  # (k, verbose, license)
            work_dir, d = None, None if isinstance(d, str) else d
        if isinstance(d, str):
            raise BadArgument(f"d={d!r}; allowed: a whole number")
        options = search.Options(
            k=k, d=d, model_path=model_path, threshold=threshold, store_int=bool(store_int), turi_param=turi_param
        )
        self._search = search.opened(Path(work_dir or self._work_dir).absolute(), options=options)
        self._search.searcher.warm()
        return 0

    def search(
        self,
        filename: Any = None,
        image: Any = None,
        verbose: bool = False,
        *,
        k: int | None = None,
        where: str | None = None,
        threshold: float | None = None,
        img: Any = None,
    ) -> pd.DataFrame:
        """The stored images most like an image, or like each of a list of images.

            fd.search("query.jpg", k=5, where="label = 'cat' and blur > 100")

        Args:
            filename: a path, an `s3://` path, a PIL image, an RGB array (h, w, 3) uint8, bytes, or a list of these.
            image: PIL image, array or bytes used instead of the file `filename`, which then is only its name.
            where: an SQL condition on the columns of the view `searchable` (yours, and the statistics): k answers come
                from the images that meet it, if there are k.
            k, threshold: instead of those of `init_search`.
            img: fastdup's name of `image`.

        Returns:
            `from` (name of the query), `to` (file name, or id with store_int=1), `distance` (similarity, 1 =
            identical), best first, equal ones by id. An image that is stored finds itself.

        Raises:
            ImageError: for a query that cannot be read, with its code. BadArgument: for a bad condition or form.
        """
        from fastdup_db.searching import search

        given = img if image is None else image
        return search.by_images(self._ready(), filename, given, k=k, where=where, threshold=threshold)

    def vector_search(
        self,
        filename: str | Sequence[str] = "query_vector",
        vec: Any = None,
        verbose: bool = False,
        *,
        k: int | None = None,
        where: str | None = None,
        threshold: float | None = None,
    ) -> pd.DataFrame:
        """The stored images nearest to an embedding (d,) or each of (n, d), as `feature_vector` and `embeddings` give.

        filename: names of the queries; one name for several gets `_0`, `_1`, … The rest is as in `search`.
        """
        from fastdup_db.searching import search

        return search.by_vectors(self._ready(), filename, vec, k=k, where=where, threshold=threshold)

    def cross_similarity(self, input_dir: Any, *, k: int = 2, threshold: float | None = None) -> pd.DataFrame:
        """Leak check: the k nearest stored images of every image of another set. Nothing is merged or stored.

            fd.cross_similarity("test_images", threshold=0.96)

        Args:
            input_dir: any input of `run`.
            threshold: lowest similarity; that of the last run (0.9) by default, 0 for all.

        Returns:
            `from` (the new image), `to` (the stored one), `distance` (similarity), in the order of the input, best
            first: compared with every stored image, exactly. `attrs['left_out']` names new images that cannot be used.
        """
        from fastdup_db.searching import search

        ready = self._ready()
        lowest = ready.run_threshold if threshold is None else threshold
        return search.by_input(ready, input_dir, k=k, threshold=lowest)

    def _ready(self) -> Search:
        """The open search; opened anew when a run has changed the work_dir since."""
        from fastdup_db.searching import search

        if self._search is None:
            self.init_search()
        elif not search.is_current(self._search):
            self._search = search.opened(self._search.work_dir, options=self._search.options)
        assert self._search is not None
        return self._search
