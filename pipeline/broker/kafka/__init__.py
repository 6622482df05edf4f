"""Apache Kafka through kafka-python. The only package that imports the vendor's library.

kafka-python has faults that matter to an exactly-once worker. A comment at each workaround names
the fault: K1, K2, ... as in ARCHITECTURE.md.
"""
