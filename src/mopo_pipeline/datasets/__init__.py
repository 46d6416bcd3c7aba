"""The few Kedro dataset classes that kedro-datasets lacks; heavy imports are lazy."""

from mopo_pipeline.datasets.directory import ModelCardDataset, ModelDirectoryDataset
from mopo_pipeline.datasets.files import (
    AtomicJSONDataset,
    AtomicParquetDataset,
    AtomicTextDataset,
    PictureDataset,
    RecordDataset,
)

__all__ = [
    "AtomicJSONDataset",
    "AtomicParquetDataset",
    "AtomicTextDataset",
    "ModelCardDataset",
    "ModelDirectoryDataset",
    "PictureDataset",
    "RecordDataset",
]
