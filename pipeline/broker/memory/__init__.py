"""A broker in memory, under the same contract as Kafka: for tests, and for a demo without Java.

`MemoryLog` and `MemoryGroup` are the cluster, `MemoryBroker` is one worker's access to it. One lock
guards all of it, so workers may run in threads.
"""
