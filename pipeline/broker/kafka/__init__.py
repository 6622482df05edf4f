"""Apache Kafka through kafka-python: the only home of the vendor's names.

kafka-python has holes that matter to an exactly-once worker; where one is worked around, the
comment says which: K1, K2, ... as in ARCHITECTURE.md.
"""
