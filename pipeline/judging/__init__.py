"""Checks a group's log: chains, ledgers, audits, comparisons with a replay, and moves."""
