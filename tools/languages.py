"""The programming languages that the code map and the editor know, as one table.

Grammars come from one wheel per language, so that nothing is downloaded at run time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Language as Grammar
    from tree_sitter import Parser


@dataclass(frozen=True)
class Definition:
    """How a node type defines a symbol.

    `name` is the field with the symbol's name. `owner` is a field that holds the type a method
    belongs to when that type is not an enclosing node (Go's receivers). With `values`, the node
    counts only when its field `value` has one of these types (`const f = () => …`). A `scope`
    lends its name to what it encloses and is no symbol itself (Rust's `impl`).
    """

    kind: str
    name: str = "name"
    owner: str | None = None
    value: str = "value"
    values: frozenset[str] = frozenset()
    scope: bool = False


@dataclass(frozen=True, eq=False)
class LanguageSpec:
    """One row of the table.

    `wrappers` are nodes that belong to the one definition they hold (decorators, `export`).
    `leading` are siblings before a definition that belong to it (Rust's attributes).
    `modifiers` are the nodes of decorators and attributes themselves. `calls` maps call nodes to
    the field with the callee. `bodies` are the fields where a signature ends. `containers` are
    the kinds of symbols whose functions are methods. `enclosure` makes a lone method parse.
    `strings` may span lines. `exports` are wrappers that a rewritten definition may leave out.
    `noise` is what a policy tends to write below a definition without meaning it to be kept.
    `tests` is a pattern for the attribute of a function that is a test among the sources.
    """

    name: str
    extensions: tuple[str, ...]
    package: str
    factory: str
    definitions: Mapping[str, Definition]
    identifiers: frozenset[str]
    calls: Mapping[str, str]
    imports: frozenset[str]
    wrappers: frozenset[str] = frozenset()
    leading: frozenset[str] = frozenset()
    modifiers: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset({"type_identifier", "identifier"})
    bodies: tuple[str, ...] = ("body",)
    containers: frozenset[str] = field(
        default_factory=lambda: frozenset({"class", "interface", "trait", "type"})
    )
    enclosure: tuple[str, str] = ("", "")
    strings: frozenset[str] = frozenset()
    exports: frozenset[str] = frozenset()
    noise: frozenset[str] = frozenset({"call_expression"})
    indented_blocks: bool = False
    tests: str = ""


_FUNCTION_VALUES = frozenset({"arrow_function", "function_expression", "generator_function"})

_JAVASCRIPT: dict[str, Definition] = {
    "function_declaration": Definition("function"),
    "generator_function_declaration": Definition("function"),
    "class_declaration": Definition("class"),
    "method_definition": Definition("method"),
    "variable_declarator": Definition("function", values=_FUNCTION_VALUES),
    "field_definition": Definition("method", name="property", values=_FUNCTION_VALUES),
}

_TYPESCRIPT: dict[str, Definition] = {
    **_JAVASCRIPT,
    "function_signature": Definition("function"),
    "abstract_class_declaration": Definition("class"),
    "public_field_definition": Definition("method", values=_FUNCTION_VALUES),
    "abstract_method_signature": Definition("method"),
    "interface_declaration": Definition("interface"),
    "type_alias_declaration": Definition("type"),
    "enum_declaration": Definition("type"),
    "internal_module": Definition("module"),
}

_SCRIPT_IDENTIFIERS = frozenset(
    {
        "identifier",
        "property_identifier",
        "private_property_identifier",
        "shorthand_property_identifier",
        "type_identifier",
    }
)
_SCRIPT_CALLS = {"call_expression": "function", "new_expression": "constructor"}
_SCRIPT_WRAPPERS = frozenset(
    {"export_statement", "lexical_declaration", "variable_declaration", "ambient_declaration"}
)
_SCRIPT_ENCLOSURE = ("class Enclosure {\n", "\n}")


def _typescript(name: str, extensions: tuple[str, ...], factory: str) -> LanguageSpec:
    return LanguageSpec(
        name=name,
        extensions=extensions,
        package="tree_sitter_typescript",
        factory=factory,
        definitions=_TYPESCRIPT,
        identifiers=_SCRIPT_IDENTIFIERS,
        calls=_SCRIPT_CALLS,
        imports=frozenset({"import_statement"}),
        wrappers=_SCRIPT_WRAPPERS | {"expression_statement"},
        leading=frozenset({"decorator"}),
        modifiers=frozenset({"decorator"}),
        enclosure=_SCRIPT_ENCLOSURE,
        strings=frozenset({"template_string"}),
        exports=frozenset({"export_statement"}),
    )


_RUST_TESTS = r"#\[\s*(\w+\s*::\s*)*(test|bench|rstest|test_case|proptest|quickcheck)\s*[\](=]"

LANGUAGES: tuple[LanguageSpec, ...] = (
    LanguageSpec(
        name="python",
        extensions=(".py", ".pyi"),
        package="tree_sitter_python",
        factory="language",
        definitions={
            "function_definition": Definition("function"),
            "class_definition": Definition("class"),
        },
        identifiers=frozenset({"identifier"}),
        calls={"call": "function"},
        imports=frozenset({"import_statement", "import_from_statement", "future_import_statement"}),
        wrappers=frozenset({"decorated_definition"}),
        modifiers=frozenset({"decorator"}),
        strings=frozenset({"string"}),
        noise=frozenset({"call", "string", "if_statement", "await"}),
        indented_blocks=True,
    ),
    LanguageSpec(
        name="javascript",
        extensions=(".js", ".mjs", ".cjs", ".jsx"),
        package="tree_sitter_javascript",
        factory="language",
        definitions=_JAVASCRIPT,
        identifiers=_SCRIPT_IDENTIFIERS,
        calls=_SCRIPT_CALLS,
        imports=frozenset({"import_statement"}),
        wrappers=_SCRIPT_WRAPPERS,
        modifiers=frozenset({"decorator"}),
        enclosure=_SCRIPT_ENCLOSURE,
        strings=frozenset({"template_string"}),
        exports=frozenset({"export_statement"}),
    ),
    _typescript("typescript", (".ts", ".mts", ".cts"), "language_typescript"),
    _typescript("tsx", (".tsx",), "language_tsx"),
    LanguageSpec(
        name="rust",
        extensions=(".rs",),
        package="tree_sitter_rust",
        factory="language",
        definitions={
            "function_item": Definition("function"),
            "function_signature_item": Definition("function"),
            "struct_item": Definition("class"),
            "enum_item": Definition("type"),
            "union_item": Definition("type"),
            "type_item": Definition("type"),
            "trait_item": Definition("trait"),
            "mod_item": Definition("module"),
            "macro_definition": Definition("macro"),
            "impl_item": Definition("class", name="type", scope=True),
        },
        identifiers=frozenset({"identifier", "field_identifier", "type_identifier"}),
        calls={"call_expression": "function", "macro_invocation": "macro"},
        imports=frozenset({"use_declaration"}),
        leading=frozenset({"attribute_item"}),
        modifiers=frozenset({"attribute_item"}),
        strings=frozenset({"string_literal", "raw_string_literal"}),
        tests=_RUST_TESTS,
    ),
    LanguageSpec(
        name="go",
        extensions=(".go",),
        package="tree_sitter_go",
        factory="language",
        definitions={
            "function_declaration": Definition("function"),
            "method_declaration": Definition("method", owner="receiver"),
            "type_spec": Definition("type"),
        },
        identifiers=frozenset({"identifier", "field_identifier", "type_identifier"}),
        calls={"call_expression": "function"},
        imports=frozenset({"import_declaration"}),
        wrappers=frozenset({"type_declaration"}),
        types=frozenset({"type_identifier"}),
        strings=frozenset({"raw_string_literal"}),
    ),
)

_BY_EXTENSION = {e: language for language in LANGUAGES for e in language.extensions}


def language_of(path: str) -> LanguageSpec | None:
    """The language of a file by its extension, or None when the table has no row for it."""
    return _BY_EXTENSION.get(PurePosixPath(path).suffix.lower())


def name_of(path: str) -> str:
    """The name of a file's language, as a code block has it; empty for an unknown one."""
    language = language_of(path)
    return language.name if language else ""


@cache
def grammar(language: LanguageSpec) -> Grammar:
    """The tree-sitter grammar of a language, imported on first use."""
    from tree_sitter import Language

    return Language(getattr(import_module(language.package), language.factory)())


def parser(language: LanguageSpec) -> Parser:
    """A new tree-sitter parser for a language."""
    from tree_sitter import Parser

    return Parser(grammar(language))
