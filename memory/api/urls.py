"""Addresses under the API's root; `verel_site.urls` hangs them up."""

from django.urls import URLPattern, path

from memory.api import (
    consolidations,
    contexts,
    episodes,
    intentions,
    promotions,
    records,
    scores,
    skills,
)

urlpatterns: list[URLPattern] = [
    path("memory/proposals", records.Proposals.as_view()),
    path("memory/scores", scores.Scores.as_view()),
    path("memory/episodes", episodes.EpisodeList.as_view()),
    path("memory/facts", records.FactList.as_view()),
    path("memory/rules", records.RuleList.as_view()),
    path("memory/skills", records.SkillList.as_view()),
    path("memory/skills/archives", skills.SkillUpload.as_view()),
    path("memory/skills/key", skills.SigningKey.as_view()),
    path("memory/skills/<uuid:record>/archive", skills.SkillArchive.as_view()),
    path("memory/intentions", intentions.IntentionList.as_view()),
    path("memory/intentions/claims", intentions.IntentionClaims.as_view()),
    path("memory/intentions/<uuid:intention>", intentions.IntentionDetail.as_view()),
    path("memory/intentions/<uuid:intention>/fired", intentions.IntentionFired.as_view()),
    path("memory/records/<uuid:record>", records.RecordDetail.as_view()),
    path("memory/promotions", promotions.PromotionList.as_view()),
    path("memory/promotions/<uuid:promotion>", promotions.PromotionDetail.as_view()),
    path("memory/promotions/<uuid:promotion>/decide", promotions.PromotionDecide.as_view()),
    path("memory/decisions", promotions.Decisions.as_view()),
    path("memory/consolidations", consolidations.ConsolidationList.as_view()),
    path(
        "memory/consolidations/<uuid:consolidation>", consolidations.ConsolidationDetail.as_view()
    ),
    path("memory/context", contexts.ContextAssembly.as_view()),
    path("memory/contexts/<uuid:context>", contexts.ContextDetail.as_view()),
]
