"""The log and the group, behind one contract: a real Apache Kafka, or one in memory."""
