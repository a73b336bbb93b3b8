"""Composition only: where each app's addresses hang."""

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.urls import URLPattern, URLResolver, include, path
from django.views.decorators.http import require_http_methods, require_safe
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularSwaggerSplitView

from branches.urls import make_urlpatterns
from verdicts.panels import read_head_reports, read_run_verdicts
from verel_site.access.endpoints import fallback_urlpatterns
from verel_site.access.passwords import password
from verel_site.access.signing_in import SignInPage
from verel_site.account import account, account_keys, account_zone
from verel_site.jumps import jump
from verel_site.kit.specimens import show_kit
from verel_site.pages import SignIn, healthz, home, project_home, readyz
from verel_site.schema import SchemaDocument

# Its template is for GET: DRF would render the answer to OPTIONS with it, and fail.
docs = SpectacularSwaggerSplitView.as_view(url_name="schema", http_method_names=["get", "head"])

login = require_http_methods(["GET", "HEAD", "POST"])(SignInPage.as_view())
# One door with one throttle: Django's admin would have a second one without.
admin_login = RedirectView.as_view(pattern_name="login", query_string=True)

handler500 = "verel_site.pages.answer_failure"

urlpatterns: list[URLPattern | URLResolver] = [
    path("", home, name="home"),
    path("p/<slug:slug>/", project_home, name="project"),
    path("login/", login, name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("sign-in/<str:token>/", SignIn.as_view(), name="sign-in"),
    path("account/", account, name="account"),
    path("account/zone/", account_zone, name="account-zone"),
    path("account/keys/", account_keys, name="account-keys"),
    path("account/password/", password, name="password"),
    path("jump/", jump, name="jump"),
    path("kit/", show_kit, name="kit"),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("admin/login/", require_safe(admin_login)),
    path("admin/", admin.site.urls),
    path("api/schema/", SchemaDocument.as_view(), name="schema"),
    path("api/docs/", docs, name="docs"),
    path("api/v1/", include("branches.api.urls")),
    path("api/v1/", include("verdicts.api.urls")),
    path("api/v1/", include("memory.api.urls")),
    path("api/v1/", include("verel_site.inbox.api")),
    path("api/v1/", include(fallback_urlpatterns)),
    path("", include(make_urlpatterns(read_run_verdicts, read_head_reports))),
    path("", include("verdicts.urls")),
    path("", include("memory.urls")),
    path("", include("verel_site.inbox.urls")),
    path("", include("verel_site.administration.urls")),
    path("", include("verdicts.intake_urls")),
]
