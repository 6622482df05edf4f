"""`longtake demo`: a log, four cameras, one worker and a live view, all on this machine."""
