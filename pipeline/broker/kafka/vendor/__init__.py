"""kafka-python's classes: opens clients, works around their faults, translates their errors."""
