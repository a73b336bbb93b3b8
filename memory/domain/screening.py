"""What makes a proposed record suspicious: it is held for a person, and never counts by itself.

Screening is a tripwire, not a proof: what passes is still unverified, and enters no context
before independent runs or a person vouch for it. It looks at every reading of a text (see
`readings`), and errs on the side of a person's time.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from memory.domain.readings import hides_something, mixes_scripts, readings_of

_GAP: Final = r"\W{1,4}(?:\w+\W{1,4}){0,4}?"
_ROLES: Final = r"(?:system|assistant|developer|human|user|tool)"
# What is screened in other languages: whoever ignores, forgets or goes round, and what of.
_IGNORING: Final = (
    r"ignorier\w*|missacht\w*|vergiss|vergesst|vergessen sie|umgeh\w*|setz\w* dich hinweg"
    r"|ignor(?:ez|er|a|ad|ar|e|es|en|era|eer|uj)|oubli(?:e|ez|er)|contourn\w*|negeer\w*"
    r"|olvid\w*|haz caso omiso|no (?:sigas|obedezcas)|desconsider\w*|esque[cç]\w*|dimentic\w*"
    r"|zignoruj\w*|zapomnij\w*|ignorera|glöm|glem|vergeet|yok say|görmezden gel|unut\b|bỏ qua"
    r"|bo qua|abaikan|lupakan|(?:про)?игнорир\w*|забудь\w*|ігнору\w*|не обращай\w*|忽略|无视|忽視|無視"
    r"|忘记|忘記|不要理会|忘れ|무시|잊어|تجاهل|انس|अनदेखा|नज़रअंदाज़|भूल"
)
_ORDERS: Final = (
    r"anweisung\w*|regeln?|vorgaben?|befehl\w*|vorherig\w*|obig\w*|richtlinie\w*|consignes?"
    r"|r[eè]gles?|directives?|pr[eé]c[eé]dent\w*|instrucci\w*|instru[cç][oõ]es|instructions?|reglas?"
    r"|indicacion\w*|anterior\w*|[oó]rdenes|directrices|regras?|istruzion\w*|regol\w*|instructies"
    r"|regels|voorgaande|vorige|aanwijzing\w*|instrukc\w*|polece\w*|zasad\w*|poprzedni\w*"
    r"|instruktion\w*|instruks\w*|regler\w*|talimat\w*|kural\w*|önceki|hướng dẫn|huong dan"
    r"|chỉ dẫn|quy tắc|instruksi|perintah|aturan|инструкц\w*|правил\w*|указани\w*|предыдущ\w*"
    r"|інструкц\w*|指令|指示|规则|規則|命令|提示词|之前的|以上|ルール|지시|명령|규칙|이전"
    r"|تعليمات|القواعد|السابقة|निर्देश|नियम"
)
_NEW_ROLE: Final = (
    r"\byou are (?:now|no longer|from now on)\b|\bdu bist (?:jetzt|nun|ab sofort)\b"
    r"|\btu es (?:maintenant|désormais)\b|\bvous êtes (?:maintenant|désormais)\b"
    r"|\bahora eres\b|\bora sei\b|\bagora você é\b|\bje bent nu\b|\bteraz jesteś\b|теперь ты"
    r"|ты теперь|你现在是|从现在(?:起|开始)你|あなたは(?:今から|これから|今)|(?:너는|당신은) 이제"
)
# A name, what must stand in a text for it, and the sign itself; all of it in small letters. The
# second is there to be quick: a text that has none of it is not searched.
_COMMANDS: Final = tuple(
    (name, tuple(needs.split(",")), re.compile(pattern.replace("~", _GAP), re.MULTILINE))
    for name, needs, pattern in (
        (
            "tells the reader to drop its instructions",
            "ignore,disregard,forget,overrid,overrul,bypass,attention,follow,obey",
            r"\b(?:ignore|disregard|forget|override|overrule|bypass|pay no attention to"
            r"|(?:do not|don't|stop|no longer) (?:follow|obey)(?:ing)?)~(?:instructions?|rules?"
            r"|prompts?|guidelines|policy|policies|directives?|above|previous|prior|earlier)\b",
        ),
        (
            "tells the reader to drop its instructions",
            "ignor,missacht,verg,umgeh,hinweg,oubli,contourn,negeer,olvid,omiso,sigas,obedezcas,"
            "desconsider,esque,dimentic,zapomnij,glöm,glem,say,görmezden,unut,qua,abaikan,lupakan,"
            "игнор,забудь,ігнор,обращай,忽,无视,無視,忘,不要,무시,잊어,تجاهل,انس,अनदे,नज़र,भूल",
            rf"(?:{_IGNORING})[^\n]{{0,48}}?(?:{_ORDERS})|(?:{_ORDERS})[^\n]{{0,48}}?(?:{_IGNORING})",
        ),
        (
            "speaks as the system or as another role",
            "system,assistant,developer,human,user,tool,inst,sys>,endoftext,im_,begin,end",
            rf"(?:<\|?/?(?:im_start|im_end|endoftext|{_ROLES})\b|\[/?inst\]|<</?sys>>"
            rf"|(?:^|[.!?;)\]}}\"'*]\s+|[#>]\s*){_ROLES}\s*(?:prompt|message)?\s*:"
            rf"|[\"']role[\"']\s*:\s*[\"']{_ROLES}|\[(?:system|assistant|developer)\b[^\]]{{0,20}}\]"
            rf"|#{{2,}}\s*(?:{_ROLES}|instructions?|response)\b"
            r"|\b(?:begin|end)(?: of)? (?:the )?(?:system|context|memory|prompt|instructions)\b)",
        ),
        (
            "imitates the marks by which a context tells its lines apart",
            "[,<,{",
            r"\[\s*(?:src|conf|source|confidence|trust|grounding)\s*[:=]|</?(?:context|memory|facts?"
            r"|instructions?|prompt|document|admin|important)\b[^<>]*>|\{%|\{\{",
        ),
        (
            "gives the reader a new role",
            "you are,du bist,tu es,vous êtes,ahora,ora,agora,je bent,teraz,теперь,你,あなた,이제",
            _NEW_ROLE,
        ),
        (
            "speaks to the model that reads it",
            "ai,llm,model,assistant,agent,chatbot,instruction,developer,from now on",
            r"\b(?:if|when|since|because|as) (?:you are |you're )?(?:an? )?(?:ai|llm|language model"
            r"|ai model|ai agent|chatbot)\b~(?:you|please|must|always|never|should)\b"
            r"|\b(?:attention|dear|hello|note to)\W+(?:any |all |the )?(?:ai|llms?|assistants?|agents?"
            r"|language models?)\b|\bnew (?:system )?instructions?\s*:|\bdeveloper mode\b"
            r"|\bfrom now on\W+(?:you|always|never|respond|answer|act)\b",
        ),
        (
            "asks for silence or for secrets",
            "not,don't,never,reveal,print,send,leak,exfiltrate,post,upload",
            r"\b(?:do not|don't|never)~(?:tell|mention|reveal|report)~(?:user|reviewer|anyone"
            r"|human|person)\b|\b(?:reveal|print|send|leak|exfiltrate|post|upload)~(?:system prompt"
            r"|secrets?|api keys?|passwords?|access tokens?|tokens|credentials?|environment variables)\b",
        ),
        (
            "has its reader load or run what stands elsewhere",
            "](,curl,wget,iwr,<!--,<script",
            r"!\[[^\]\n]{0,200}\]\(\s*\w+:|\]\(\s*(?:javascript|data|vbscript):"
            r"|\b(?:curl|wget|iwr)\b[^\n|]{0,200}\|\s*(?:sudo )?(?:ba|z)?sh\b|<!--|<script\b",
        ),
        (
            "claims that a grader or a person approved it",
            "verified,approved,trusted,passed",
            r"\b(?:mark|treat|consider)~(?:as )?(?:verified|approved|trusted|passed)\b",
        ),
    )
)
# Words torn apart by signs stand together again without them.
_SQUEEZED: Final = re.compile(
    r"(?:ignore|disregard|forget|override|bypass)(?:all|any|the|your|my|of|these|those|every|"
    r"previous|prior|above|earlier|and)*(?:instructions?|rules?|prompts?|guidelines|polic(?:y|ies))"
)
_NO_LETTER: Final = re.compile(r"[\W\d_]+")
_NO_SIGN: Final = re.compile(r"[\W_]+")
# Of a token so many letters in a row are taken for it: a part of it is a leak as well.
PIECE: Final = 10
_SECRET: Final = re.compile(rf"[0-9a-f]{{{PIECE},}}")


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Why a record is held: a stable code, and a sentence for the person who looks."""

    code: str
    says: str


INVISIBLE: Final = Suspicion("hidden", "It holds characters that no reader sees.")
CONFUSABLE: Final = Suspicion(
    "confusable", "It mixes letters of two scripts in a word: they look alike, and are not."
)
CANARY: Final = Suspicion(
    "canary", "It holds a token, or a part of one, that only secret cases hold."
)

# What nobody can answer for by having read it.
UNSEEN: Final = frozenset({CANARY.code, INVISIBLE.code, CONFUSABLE.code})


def screen(texts: Iterable[str], *, canaries: Iterable[str] = ()) -> tuple[Suspicion, ...]:
    """What is suspicious about a record's texts; `canaries` stand nowhere but in secret cases."""
    whole = "\n".join(texts)
    readings = readings_of(whole)
    names = {name for reading in readings for name in _commands_in(reading)}
    # In one order, whatever the readings' is.
    found = [Suspicion("instruction", f"It {name}.") for name in sorted(names)]
    if holds_canary(readings, canaries):
        found.append(CANARY)
    if hides_something(whole):
        found.append(INVISIBLE)
    if mixes_scripts(whole):
        found.append(CONFUSABLE)
    return tuple(found)


def screen_file(text: str, *, canaries: Iterable[str]) -> tuple[Suspicion, ...]:
    """A file of a skill is instructions by nature; what no reviewer can see in it is suspicious, and
    so is a token. Bytes that are no text are not looked at for the former."""
    found = [CANARY] if holds_canary(readings_of(text), canaries) else []
    told = text.removeprefix("\ufeff")
    if "\x00" not in told and "\N{REPLACEMENT CHARACTER}" not in told and hides_something(told):
        found.append(INVISIBLE)
    return tuple(found)


@lru_cache(maxsize=4_096)
def commands(text: str) -> tuple[str, ...]:
    """What a text orders its reader, by name, in any of its readings."""
    return tuple(sorted({name for one in readings_of(text) for name in _commands_in(one)}))


def _commands_in(text: str) -> set[str]:
    folded = text.casefold()
    told = {folded, " ".join(folded.split())}
    found = {
        name
        for name, needs, sign in _COMMANDS
        if any(need in folded for need in needs) and any(map(sign.search, told))
    }
    if _SQUEEZED.search(_NO_LETTER.sub("", folded)):
        found.add(_COMMANDS[0][0])
    return found


def holds_canary(readings: Iterable[str], canaries: Iterable[str]) -> bool:
    """A token as a whole, or PIECE letters of its random part, in any reading."""
    whole = {_squeeze(token) for token in canaries} - {""}
    if not whole:
        return False
    pieces = {piece for token in whole for run in _SECRET.findall(token) for piece in _cut(run)}
    for reading in readings:
        told = _squeeze(reading)
        if any(token in told for token in whole):
            return True
        if any(piece in pieces for run in _SECRET.findall(told) for piece in _cut(run)):
            return True
    return False


def _squeeze(text: str) -> str:
    return _NO_SIGN.sub("", text).casefold()


def _cut(run: str) -> Iterable[str]:
    return (run[at : at + PIECE] for at in range(len(run) - PIECE + 1))
