"""Everything on this machine: a log, four cameras, one worker, and a view of what comes out."""
