"""One settings file. The environment is read here, at the top, and nowhere else."""

import secrets
from contextlib import suppress
from pathlib import Path

from verel_site.kit import env

BASE_DIR = Path(__file__).resolve().parent.parent

VEREL_HOME = env.read_path("VEREL_HOME", BASE_DIR / "var")
VEREL_HOME.mkdir(parents=True, exist_ok=True)


def kept_secret() -> str:
    """The generated secret of an embedded installation, made once and readable by its owner alone."""
    path = VEREL_HOME / "secret_key"
    if not path.exists():
        # Written aside and then linked: of two processes that start at once one wins, and neither
        # ever reads an empty file.
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(64))
        with suppress(FileExistsError):
            path.hardlink_to(draft)
        draft.unlink()
    return path.read_text()


DEBUG = env.read_flag("VEREL_DEBUG", False)
VEREL_SECRET_IS_KEPT = not env.read_text("VEREL_SECRET_KEY")
SECRET_KEY = env.read_text("VEREL_SECRET_KEY") or kept_secret()
ALLOWED_HOSTS = env.read_list("VEREL_ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
VEREL_HOSTS_ARE_NAMED = bool(env.read_text("VEREL_ALLOWED_HOSTS"))
VEREL_SECURE = env.read_flag("VEREL_SECURE", VEREL_HOSTS_ARE_NAMED)
DATABASES = {
    "default": env.read_database("VEREL_DATABASE_URL", f"sqlite:///{VEREL_HOME / 'verel.sqlite3'}")
}
VEREL_REDIS_URL = env.read_redis("VEREL_REDIS_URL")
VEREL_ARCHIVE_URL = env.read_archive("VEREL_ARCHIVE_URL", f"file://{VEREL_HOME / 'archive'}")
VEREL_EVENT_CODEC = env.read_choice("VEREL_EVENT_CODEC", ["zstd", "plain"])
VEREL_EVENT_KEYS = env.read_event_keys("VEREL_EVENT_KEYS")
# What each process may keep of rendered contexts; 0 renders each anew.
VEREL_CONTEXT_CACHE_BYTES = env.read_whole("VEREL_CONTEXT_CACHE_MB", 128, high=2**20) * 2**20
# What may be asked of the API, in requests and in bytes a second; 0 is no limit.
VEREL_KEY_RATES = (
    env.read_whole("VEREL_KEY_REQUESTS", 2_000),
    env.read_whole("VEREL_KEY_BYTES", 64 * 1024 * 1024),
)
VEREL_PROJECT_RATES = (
    env.read_whole("VEREL_PROJECT_REQUESTS", 8_000),
    env.read_whole("VEREL_PROJECT_BYTES", 256 * 1024 * 1024),
)
# How many proxies of ours stand in front, each of which adds to X-Forwarded-For.
VEREL_PROXIES = env.read_whole("VEREL_PROXIES", 0, high=9)
VEREL_LOG = env.read_choice("VEREL_LOG", ["json", "text"] if VEREL_SECURE else ["text", "json"])
VEREL_MODEL_URL = env.read_text("VEREL_MODEL_URL")
VEREL_MODEL = env.read_text("VEREL_MODEL")
# Who says how far a source supports what is to be remembered; pushed scores count before it.
VEREL_ENTAILMENT = env.read_choice("VEREL_ENTAILMENT", ["lexical", "embedding", "judge", "pushed"])
VEREL_JUDGE_URL = env.read_text("VEREL_JUDGE_URL")
VEREL_JUDGE_MODEL = env.read_text("VEREL_JUDGE_MODEL")
VEREL_JUDGE_KEY = env.read_text("VEREL_JUDGE_KEY")
# What turns texts into vectors: none, local (the extra `ml`), or a server of OpenAI's manner.
VEREL_EMBEDDER = env.read_choice("VEREL_EMBEDDER", ["none", "local", "openai"])
VEREL_EMBEDDINGS_URL = env.read_text("VEREL_EMBEDDINGS_URL")
VEREL_EMBEDDINGS_MODEL = env.read_text("VEREL_EMBEDDINGS_MODEL")
VEREL_EMBEDDINGS_KEY = env.read_text("VEREL_EMBEDDINGS_KEY")
# What each process may keep of vectors; of a larger project it keeps the newest.
VEREL_VECTOR_CACHE_BYTES = env.read_whole("VEREL_VECTOR_CACHE_MB", 256, low=1, high=2**20) * 2**20
# A rented store that is shown what may be recalled: none, or mem0 (the extra `mem0`) by a JSON file.
VEREL_MEMORY_STORE = env.read_choice("VEREL_MEMORY_STORE", ["none", "mem0"])
VEREL_MEM0_CONFIG = env.read_text("VEREL_MEM0_CONFIG")
# What a context may have of tokens by the role that asks for it: repairer=3000,reviewer=1500.
VEREL_ROLE_BUDGETS = env.read_counts("VEREL_ROLE_BUDGETS", high=200_000)
VEREL_PROCESSES = env.read_whole("VEREL_PROCESSES", 1, low=1, high=64)

INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "servestatic",
    "django.contrib.staticfiles",
    "channels",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "verel_site.kit",
    "verel_site.access",
    "verel_site.audit",
    "verel_site.outbox",
    "verel_site.inbox",
    "verel_site.administration",
    "branches",
    "verdicts",
    "memory",
    "verel_site",
]

MIDDLEWARE = [
    "verel_site.request_log.RequestLog",
    "django.middleware.security.SecurityMiddleware",
    "verel_site.kit.security.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "verel_site.kit.moments.ZoneMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "verel_site.kit.refusals.RefusalMiddleware",
    "verel_site.kit.outages.OutageMiddleware",
]

ROOT_URLCONF = "verel_site.urls"
ASGI_APPLICATION = "verel_site.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "verel_site.shell.shell",
            ],
            "builtins": ["verel_site.kit.templatetags.verel"],
        },
    }
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = VEREL_HOME / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "servestatic.storage.CompressedManifestStaticFilesStorage"
        if not DEBUG
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [VEREL_REDIS_URL]},
    }
    if VEREL_REDIS_URL
    else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "verel_site.access.api.KeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["verel_site.kit.parsers.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "verel_site.kit.problems.handle_exception",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Verel",
    "VERSION": "1",
    "DESCRIPTION": "Push events, claim forks, report verdicts, merge what won.",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": r"/api/v1/",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "verel_site.access.operation_links.link_operations",
    ],
    "ENUM_NAME_OVERRIDES": {
        "IssueKindEnum": "verdicts.api.serializers.ISSUE_KINDS",
        "RecordKindEnum": "memory.api.serializers.KINDS",
        "PromotionAnswerEnum": "memory.api.serializers.ANSWERS",
        "VerdictEnum": "memory.api.serializers.VERDICTS",
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = VEREL_SECURE
SECURE_HSTS_SECONDS = 31_536_000 if VEREL_SECURE else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = VEREL_SECURE
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if VEREL_SECURE else None
CSRF_TRUSTED_ORIGINS = [f"https://{host}" for host in ALLOWED_HOSTS if VEREL_SECURE]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# The body is counted while it is read (see kit.parsers); this bounds what Django itself buffers.
DATA_UPLOAD_MAX_MEMORY_SIZE = 40 * 1024 * 1024

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "verel_site.kit.logs.Lines"},
        "text": {"()": "verel_site.kit.logs.Text", "format": "%(levelname)s %(name)s: %(message)s"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": VEREL_LOG}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "django.channels.server": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
        # It tells of every connection that is taken and given back.
        "psycopg.pool": {"level": "WARNING"},
        # Every request has its line; Django's own of 4xx answers would say it twice.
        "django.request": {"level": "ERROR"},
        "verel.requests": {"level": "INFO" if VEREL_LOG == "json" else "ERROR"},
    },
}
