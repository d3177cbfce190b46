"""The imports and exports of a module of JavaScript, and its code without them.

A module is read by its tokens. It keeps to few forms of import and export, all at its top level: a form that is not known is
refused, never guessed. What a module exports may not change later, since those that import it take the value once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from codewords_mcp.console.script_text import SILENT, Token, tokens

DEFAULT_NAME = "default_"
"""The name in a module of a default export that has none."""
_HEAD = re.compile(
    r"""
    (?: [\s;] | //[^\n]*\n | /\*.*?\*/ )*
    (?:import|export)\b (?: [\w$\s{},*]*\bfrom\s* | \s* )
    (?P<quote>["']) (?P<address>[^"'\n]+) (?P=quote) (?: [ \t]*; )?
    """,
    re.DOTALL | re.VERBOSE,
)
"""A statement that imports, with the text before it."""
_TAIL = re.compile(r"\bexport\s*\{[^{}]*\}\s*;?\s*$")
_FORM = re.compile(r"\b(?:import|export)\b")
_DEPTHS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}
_KINDS = frozenset({"const", "let", "var", "function", "async", "class"})
_CHANGING = frozenset({"let", "var"})
_TELLING = frozenset({"import", "export", "await", "let", "var"})


class NotLinked(ValueError):
    """A module in a form that can't be put into one script with others."""


@dataclass(slots=True)
class Module:
    """The imports, exports and code of a module. Addresses are those of its text, such as `./ui.js`."""

    imports: dict[str, tuple[str, str]] = field(default_factory=dict[str, "tuple[str, str]"])
    """By the name in the module: the address, and the name there."""
    exports: dict[str, str] = field(default_factory=dict[str, str])
    """By the exported name: the name in the module."""
    passed_on: dict[str, tuple[str, str]] = field(default_factory=dict[str, "tuple[str, str]"])
    """By the exported name: the address, and the name there."""
    runs: list[str] = field(default_factory=list[str])
    """Addresses of modules that are only run."""
    sources: list[str] = field(default_factory=list[str])
    """All addresses of what is loaded with the module, in their order, each once."""
    later: list[str] = field(default_factory=list[str])
    """Addresses of what is loaded when its code asks for it."""
    body: list[Token] = field(default_factory=list[Token])
    """The code without imports and exports. What is exported as `default` is a constant of `DEFAULT_NAME` if it has no name."""


def sources_of(text: str) -> list[str]:
    """The addresses that a module imports before its first other statement. Reads no further, and no comment among names."""
    return list(dict.fromkeys(found["address"] for found in _heads(text)))


def _heads(text: str) -> Iterator[re.Match[str]]:
    at = 0
    while found := _HEAD.match(text, at):
        yield found
        at = found.end()


def read(name: str, text: str, later: Callable[[str], str], *, is_vendored: bool = False) -> Module:
    """Read a module. Raises NotLinked, and Unended.

    `name` stands in errors. `later` gives the code for a dynamic import of an address. A library is not read by tokens, which
    would take most of the time: it imports at its beginning and exports at its end, and its code is one token.
    """
    if is_vendored:
        return _read_library(name, text, later)
    module = _ModuleReader(name, text, later).read()
    # The linker places modules by `sources_of`, which reads less of them: both have to agree.
    if module.sources != sources_of(text):
        raise NotLinked(f"{name} imports something behind its first statement.")
    return module


def _read_library(name: str, text: str, later: Callable[[str], str]) -> Module:
    begin = max((found.end() for found in _heads(text)), default=0)
    tail = _TAIL.search(text, begin)
    end = tail.start() if tail else len(text)
    code, default, rest = text[begin:end].partition("export default ")
    if _FORM.search(code) or _FORM.search(rest):
        raise NotLinked(f"{name} imports or exports amid its code.")

    module = _ModuleReader(name, text[:begin] + text[end:], later).read()
    if default:
        module.exports["default"] = DEFAULT_NAME
        code += f"const {DEFAULT_NAME} = {rest}"
    module.body = [Token("word", code)]
    return module


def _add(addresses: list[str], address: str) -> None:
    if address not in addresses:
        addresses.append(address)


def _imports_within(template: Token) -> bool:
    """Whether code in a template imports something."""
    slots = [part for part in template.parts if not isinstance(part, str)]
    return any(
        token.text == "import" or (token.kind == "template" and _imports_within(token))
        for slot in slots
        for token in slot
    )


class _ModuleReader:
    """A walk over the tokens of one module."""

    def __init__(self, name: str, text: str, later: Callable[[str], str]) -> None:
        self._name = name
        self._later = later
        self._tokens = tokens(text)
        self._at = 0
        self._module = Module()
        self._changing: set[str] = set()

    def read(self) -> Module:
        module, depth = self._module, 0
        before = ""
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            match token.kind:
                case "space" | "comment":
                    module.body.append(token)
                    self._at += 1
                    continue
                case "sign":
                    depth += _DEPTHS.get(token.text, 0)
                case "word" if token.text in _TELLING and before != ".":
                    if self._takes(token.text, depth, before):
                        before = ""
                        continue
                case "template" if _imports_within(token):
                    raise NotLinked(f"{self._name} imports something within a template.")
                case _:
                    pass
            module.body.append(token)
            before = token.text
            self._at += 1

        changing = sorted(self._changing & set(module.exports.values()))
        if changing:
            raise NotLinked(f"{self._name} exports {changing[0]}, which may change.")
        return module

    def _takes(self, word: str, depth: int, before: str) -> bool:
        """Read an import or export that begins here; False where there is none, and the word is code."""
        if word == "import":
            if self._following(2)[1].text == ".":
                raise NotLinked(f"{self._name} asks for its address, which another script has.")
            self._import(depth)
            return True
        if depth:
            return False

        match word:
            case "export":
                self._export()
                return True
            # In the one form of a function without braces, it is the function that waits.
            case "await" if before != "=>":
                raise NotLinked(f"{self._name} waits outside of functions.")
            case "let" | "var":
                self._changing.add(self._following(2)[1].text)
            case _:
                pass
        return False

    def _import(self, depth: int) -> None:
        begin = self._at
        self._take("import")
        if self._following(1)[0].text == "(":
            self._dynamic(begin)
            return
        if depth:
            raise self._unknown(begin)

        names: dict[str, str] = {}
        if self._following(1)[0].kind == "word":
            names[self._take().text] = "default"
            if self._following(1)[0].text == ",":
                self._take(",")
        if self._following(1)[0].text == "{":
            names |= {local: name for name, local in self._names(begin)}
        if names:
            self._take("from", begin)
        source = self._source(begin)
        if not names:
            self._module.runs.append(source)
        for local, name in names.items():
            self._module.imports[local] = (source, name)

    def _dynamic(self, begin: int) -> None:
        """Put what `later` gives in place of `import("…")`."""
        self._take("(")
        address = self._take()
        if address.kind != "string":
            raise self._unknown(begin)
        self._take(")", begin)
        _add(self._module.later, address.text[1:-1])
        self._module.body.append(Token("word", self._later(address.text[1:-1])))

    def _export(self) -> None:
        begin = self._at
        self._take("export")
        first, *rest = self._following(4)
        if first.text == "{":
            self._export_list(begin)
        elif first.text == "default":
            self._take("default")
            self._export_default()
        elif first.text in _CHANGING:
            raise NotLinked(f"{self._name} exports {rest[0].text}, which may change.")
        elif first.text in _KINDS and not (first.text == "const" and self._declares_more()):
            name = next(one.text for one in rest if one.kind == "word" and one.text != "function")
            self._module.exports[name] = name
        else:
            raise self._unknown(begin)
        while self._at < len(self._tokens) and self._tokens[self._at].kind in SILENT:
            self._at += 1

    def _export_list(self, begin: int) -> None:
        pairs = list(self._names(begin))
        if self._following(1)[0].text == "from":
            self._take("from")
            source = self._source(begin)
            self._module.passed_on |= {name: (source, inner) for inner, name in pairs}
        else:
            self._module.exports |= {name: inner for inner, name in pairs}
            self._skip(";")

    def _export_default(self) -> None:
        words = [token.text for token in self._following(4)]
        if words[0] == "async":
            words = words[1:]
        if words[:2] == ["function", "*"]:
            words = words[1:]
        if words[0] in {"function", "*"} and words[1] != "(":
            self._module.exports["default"] = words[1]
            return

        self._module.exports["default"] = DEFAULT_NAME
        self._module.body.append(Token("word", f"const {DEFAULT_NAME} ="))

    def _declares_more(self) -> bool:
        """Whether a declaration here is of several names, or of parts of a value."""
        depth = 0
        tokens_left = (one for one in self._tokens[self._at :] if one.kind not in SILENT)
        next(tokens_left)
        if next(tokens_left).kind != "word":
            return True
        for token in tokens_left:
            depth += _DEPTHS.get(token.text, 0) if token.kind == "sign" else 0
            if depth == 0 and token.text in {",", ";"}:
                return token.text == ","
        return False

    def _names(self, begin: int) -> Iterator[tuple[str, str]]:
        """The pairs in `{ a, b as c }`, which is taken."""
        self._take("{")
        words: list[str] = []
        while (token := self._take()).text != "}":
            if token.kind == "word":
                words.append(token.text)
            elif token.text == "," and words:
                yield words[0], words[-1]
                words = []
            else:
                raise self._unknown(begin)
        if words:
            yield words[0], words[-1]

    def _source(self, begin: int) -> str:
        token = self._take()
        if token.kind != "string":
            raise self._unknown(begin)
        address = token.text[1:-1]
        if not address.startswith("."):
            raise NotLinked(f"{self._name} imports {address}, which is no relative path.")
        self._skip(";")
        _add(self._module.sources, address)
        return address

    def _following(self, count: int) -> list[Token]:
        """The next tokens that say something; at the end, empty ones."""
        found: list[Token] = []
        at = self._at
        while len(found) < count and at < len(self._tokens):
            if self._tokens[at].kind not in SILENT:
                found.append(self._tokens[at])
            at += 1
        return found + [Token("", "")] * (count - len(found))

    def _take(self, text: str = "", begin: int | None = None) -> Token:
        """Go past the next token that says something. `text` is the one that has to be there."""
        while self._at < len(self._tokens) and self._tokens[self._at].kind in SILENT:
            self._at += 1
        if self._at < len(self._tokens):
            token = self._tokens[self._at]
        else:
            token = Token("", "")
        if (text and token.text != text) or not token.kind:
            raise self._unknown(self._at if begin is None else begin)
        self._at += 1
        return token

    def _skip(self, text: str) -> None:
        if self._following(1)[0].text == text:
            self._take(text)

    def _unknown(self, begin: int) -> NotLinked:
        form = "".join(token.text for token in self._tokens[begin : begin + 9])
        return NotLinked(f"{self._name} has a form of import or export that is not known: {form}")
