"""To which topics, rules and groups memory and outputs belong."""
