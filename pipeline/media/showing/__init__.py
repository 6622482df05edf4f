"""How and when the frames of a video are shown: turns, fields, times."""
