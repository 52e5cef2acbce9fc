"""What operators do from the command line: backups, moves, checks, erasure."""
