"""What the client fetches: how answers are gathered and awaited, and which records come first."""
