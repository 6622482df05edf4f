"""What the log says of itself: chains, ledgers, audits and comparisons."""
