"""Two groups with two models on the same cameras: outputs, audits and alarms stay apart.

`python -m tests.chaos.side_by_side --minutes 10`. Workers of both groups are killed all the time,
and once all of one group stand still. The names are such that `a.b` + `c` and `a` + `b.c` meet.
"""
