"""From the archives and folders that people bring to array_record shards with TFDS metadata, without TensorFlow.

`tar` lists archives without unpacking them; a data set's own module lists its pictures, sounds or shapes as items and
turns one of them into a record; `shard` writes one shard; `workers` runs many; `dataset` puts the whole together.
"""
