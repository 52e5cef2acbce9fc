"""Contests in restoring video, without a site: rules, data, hand-ins and their scores.

    rules.Rules       what a contest allows and when, from a TOML file
    dataset.build     videos to training pairs, test clips, their truth and a manifest
    pack.pack         restored clips to one tar
    score.judge       a tar to a verdict, the same at home and on a server

What strangers hand in is parsed by `archive` (a tar's headers) and by `child`, a process that can only decode.
"""
