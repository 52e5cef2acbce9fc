"""The site of a contest: accounts, teams, hand-ins, scoring, boards, reviews, grants, on Django."""
