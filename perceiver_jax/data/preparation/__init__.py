"""From users' archives and folders to array_record shards with TFDS metadata, without TensorFlow.

`tar` and `zip` list archives without unpacking them; a data set's own modules list its pictures, sounds or shapes as items
(`listing` says whether they are all) and turn one of them into a record; `shard` writes one shard; `workers` runs many;
`dataset` puts the whole together.
"""
