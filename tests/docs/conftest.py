"""Fixtures for tests of the documentation: a group on a real Kafka, and commands that go on."""

from tests.cli.conftest import clip, group, start, tiny

__all__ = ["clip", "group", "start", "tiny"]
