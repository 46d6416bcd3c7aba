"""The few Kedro dataset classes that kedro-datasets lacks; heavy imports are lazy."""

from mopo_pipeline.datasets.directory import ModelCardDataset, ModelDirectoryDataset
from mopo_pipeline.datasets.files import (
    AtomicJSONDataset,
    AtomicJSONLinesDataset,
    AtomicParquetDataset,
    AtomicTextDataset,
    PageDataset,
    PictureDataset,
    RecordDataset,
)
from mopo_pipeline.datasets.looks import LooksDataset

__all__ = [
    "AtomicJSONDataset",
    "AtomicJSONLinesDataset",
    "AtomicParquetDataset",
    "AtomicTextDataset",
    "LooksDataset",
    "ModelCardDataset",
    "ModelDirectoryDataset",
    "PageDataset",
    "PictureDataset",
    "RecordDataset",
]
