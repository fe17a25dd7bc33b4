"""Event source mappings of streams: a mapping's shard read in order, batched, invoked, checkpointed."""
