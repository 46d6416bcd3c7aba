"""Bytes and lines of a file: here or remote, compressed or not, UTF-8."""

import gzip
import io
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO, cast

from mopo_pipeline.errors import InputError

REMOTE = "://"
COMPRESSED = (".gz", ".zst")
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
FROM_DISK = "; where it cannot be reached, name a local copy of it: ingest.path"
BOM = b"\xef\xbb\xbf"
GZIP = b"\x1f\x8b"


def suffix(path: str) -> str:
    """The suffix that names a file's format, in small letters: what stands before ``.gz`` or ``.zst``.

    >>> suffix("votes.jsonl.zst"), suffix("s3://bucket/VOTES.CSV")
    ('.jsonl', '.csv')
    """
    name = PurePosixPath(path.lower())
    return PurePosixPath(name.stem).suffix if name.suffix in COMPRESSED else name.suffix


def opened(path: str) -> IO[bytes]:
    """A file to read from its first byte, unpacked.

    Raises:
        InputError: a remote address whose library is not installed.
    """
    file = _remote(path) if REMOTE in path else io.BufferedReader(io.FileIO(path))
    if path.lower().endswith(".gz"):
        return cast(IO[bytes], gzip.open(file))
    if path.lower().endswith(".zst"):
        return _zstandard(file)
    return file


def lines(path: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers from 1, line ends kept, a byte order mark left out.

    Raises:
        InputError: an empty file, text that is not UTF-8.
    """
    number = 0
    with opened(path) as file:
        for number, raw in enumerate(file, start=1):
            if number == 1 and raw.startswith(UTF_16):
                raise InputError(
                    f"{path}: the text is UTF-16; save it as UTF-8, for example with iconv -f utf-16 -t utf-8"
                )
            if number == 1 and raw.startswith(GZIP):
                raise InputError(f"{path}: compressed by gzip twice; unpack it once")
            try:
                yield number, (raw.removeprefix(BOM) if number == 1 else raw).decode("utf-8")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{path}: line {number}: byte 0x{error.object[error.start]:02x} is not UTF-8; save the "
                    "file as UTF-8, for example with iconv -f latin1 -t utf-8"
                ) from None
    if number == 0:
        raise InputError(f"{path}: the file is empty")


def _remote(path: str) -> IO[bytes]:
    import fsspec

    try:
        return cast(IO[bytes], fsspec.open(path, "rb").open())
    except ImportError as error:
        scheme = path.split(REMOTE, maxsplit=1)[0]
        extra = {"s3": "s3", "gs": "gs", "gcs": "gs"}.get(scheme)
        line = f"pip install 'mopo_pipeline[{extra}]'" if extra else str(error).splitlines()[0]
        raise InputError(f"{path}: {scheme}:// needs another library: {line}") from None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check ingest.path") from None
    except ValueError as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}; check ingest.path") from None


def _zstandard(file: IO[bytes]) -> IO[bytes]:
    import pyarrow as pa

    return io.BufferedReader(pa.CompressedInputStream(file, "zstd"))
