"""Every address of the site."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from subpixel.site import tus
from subpixel.site.api import api
from subpixel.site.health import health
from subpixel.site.pages import account, after, contest, handin, results, team
from subpixel.site.pages.organise import console, decisions, rounds, submissions, trail
from subpixel.site.pages.organise import teams as organise_teams

organise: list[URLPattern | URLResolver] = [
    path("", console.console, name="organise"),
    path("health/", console.health_part, name="organise-health"),
    path("pause/", console.pause, name="organise-pause"),
    path("resume/", console.resume, name="organise-resume"),
    path("window/", console.window, name="organise-window"),
    path("news/", console.news, name="organise-news"),
    path("rounds/<int:number>/", rounds.round_page, name="organise-round"),
    path("rounds/<int:number>/change/", rounds.change, name="organise-round-change"),
    path("rounds/<int:number>/board/", rounds.set_board, name="organise-round-board"),
    path("rounds/<int:number>/finalise/", rounds.finalise, name="organise-finalise"),
    path("rounds/<int:number>/board.csv", organise_teams.board_csv, name="organise-board-csv"),
    path("rounds/<int:number>/truths/<int:truth>/", rounds.difference, name="organise-truth"),
    path("rounds/<int:number>/truths/<int:truth>/rescore/", rounds.rescore, name="organise-rescore"),
    path("rounds/<int:number>/truths/<int:truth>/switch/", rounds.switch, name="organise-switch"),
    path("rounds/<int:number>/snapshots/<int:version>/", rounds.snapshot, name="organise-snapshot"),
    path("submissions/", submissions.submissions, name="organise-submissions"),
    path("submissions/<int:number>/", submissions.submission, name="organise-submission"),
    path("submissions/<int:number>/requeue/", submissions.requeue, name="organise-requeue"),
    path("submissions/<int:number>/void/", submissions.void, name="organise-void"),
    path("submissions/<int:number>/reinstate/", submissions.reinstate, name="organise-reinstate"),
    path("teams/", organise_teams.teams, name="organise-teams"),
    path("teams/people.csv", organise_teams.people_csv, name="organise-people-csv"),
    path("teams/<int:number>/", organise_teams.team, name="organise-team"),
    path("teams/<int:number>/sanction/", organise_teams.sanction, name="organise-sanction"),
    path("teams/<int:number>/lift/<int:sanction>/", organise_teams.lift, name="organise-lift"),
    path("teams/<int:number>/hours/", organise_teams.book, name="organise-book"),
    path("teams/<int:number>/review/", organise_teams.ask, name="organise-ask"),
    path("flags/", decisions.flags, name="organise-flags"),
    path("flags/<int:number>/", decisions.decide_flag, name="organise-flag-decide"),
    path("reviews/", decisions.reviews, name="organise-reviews"),
    path("reviews/<int:number>/take/", decisions.take_review, name="organise-review-take"),
    path("reviews/<int:number>/judge/", decisions.judge_review, name="organise-review-judge"),
    path("reviews/<int:number>/source/", decisions.review_source, name="organise-review-source"),
    path("grants/", decisions.grants, name="organise-grants"),
    path("grants/<int:number>/", decisions.decide_grant, name="organise-grant-decide"),
    path("audit/", trail.trail, name="organise-audit"),
]

of_contest: list[URLPattern | URLResolver] = [
    path("", contest.contest, name="contest"),
    path("rules/", contest.rules, name="rules"),
    path("data/", contest.data, name="data"),
    path("data/<int:file>/", contest.data_file, name="data-file"),
    path("board/", results.boards, name="board"),
    path("board/<int:number>/", results.board_round, name="board-round"),
    path("board/<int:number>/rows/", results.board_rows, name="board-rows"),
    path("team/", team.team, name="team"),
    path("team/rename/", team.rename, name="team-rename"),
    path("team/declare/", team.declare, name="team-declare"),
    path("team/invite/", team.invite, name="team-invite"),
    path("team/invites/<int:invite>/revoke/", team.revoke, name="team-revoke"),
    path("team/leave/", team.leave, name="team-leave"),
    path("team/captain/<int:person>/", team.transfer, name="team-transfer"),
    path("team/disband/", team.disband, name="team-disband"),
    path("join/<str:token>/", team.invitation, name="invitation"),
    path("join/<str:token>/accept/", team.join, name="join"),
    path("handin/", handin.handin, name="handin"),
    path("handin/whole/", handin.send_whole, name="send-whole"),
    path("handin/<uuid:upload>/", handin.accept, name="accept"),
    path("handin/<uuid:upload>/give-up/", handin.give_up, name="give-up"),
    path("submissions/", handin.history, name="history"),
    path("submissions/<int:number>/", handin.submission, name="submission"),
    path("submissions/<int:number>/state/", handin.submission_state, name="submission-state"),
    path("submissions/<int:number>/file/", handin.submission_file, name="submission-file"),
    path("submissions/<int:number>/cancel/", handin.cancel, name="cancel"),
    path("compute/", after.grants, name="grants"),
    path("compute/<int:entitlement>/", after.apply, name="apply"),
    path("review/", after.review, name="review"),
    path("review/upload/", after.review_upload, name="review-upload"),
    path("review/<int:number>/source/", after.review_file, name="review-file"),
    path("organise/", include(organise)),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("", contest.home, name="home"),
    path("language/", contest.language, name="language"),
    path("accounts/", include("allauth.account.urls")),
    path("account/", account.account, name="account"),
    path("account/tokens/", account.token, name="token"),
    path("account/tokens/<int:number>/revoke/", account.token_revoke, name="token-revoke"),
    path("account/erase/", account.erase, name="erase"),
    path("organise/new/", console.new, name="organise-new"),
    path("uploads/", tus.creation, name="uploads"),
    path("uploads/<uuid:pk>", tus.part, name="upload"),
    path("api/v1/", api.urls),
    path("health", health, name="health"),
    path("c/<slug:slug>/", include(of_contest)),
]
