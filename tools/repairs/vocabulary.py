"""What languages call things, as one table: the rules know roles, not languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_ARITHMETIC = {
    "+": ("-", "*"),
    "-": ("+", "*"),
    "*": ("/", "+", "**", "//"),
    "/": ("//", "*", "%"),
    "//": ("/", "*", "%"),
    "%": ("//", "/", "*"),
    "**": ("*",),
    "<<": (">>",),
    ">>": ("<<",),
    "&": ("|", "^"),
    "|": ("&", "^"),
    "^": ("&", "|"),
}
_ORDER = {
    "<": ("<=", ">", ">=", "==", "!="),
    "<=": ("<", ">=", ">", "==", "!="),
    ">": (">=", "<", "<=", "==", "!="),
    ">=": (">", "<=", "<", "==", "!="),
    "==": ("!=", ">=", "<=", ">", "<"),
    "!=": ("==", ">", "<", ">=", "<="),
}
_ASSIGNED = {
    "+=": ("-=", "=", "*="),
    "-=": ("+=", "=", "*="),
    "*=": ("/=", "+=", "="),
    "/=": ("*=", "//=", "="),
    "//=": ("/=", "*="),
    "|=": ("&=", "=", "^="),
    "&=": ("|=", "="),
    "%=": ("=", "//="),
}
_C_LIKE = {k: tuple(o for o in v if o not in ("**", "//")) for k, v in _ARITHMETIC.items()}

_CONFUSED = (
    ("lower", "upper", "title", "capitalize", "swapcase", "casefold"),
    ("strip", "lstrip", "rstrip"),
    ("startswith", "endswith"),
    ("find", "rfind", "index", "rindex"),
    ("split", "rsplit", "partition", "rpartition", "splitlines"),
    ("ljust", "rjust", "center"),
    ("append", "extend", "insert", "appendleft"),
    ("pop", "popleft", "popitem", "get", "remove", "discard"),
    ("add", "update", "discard", "remove"),
    ("get", "setdefault", "pop"),
    ("keys", "values", "items"),
    ("union", "intersection", "difference", "symmetric_difference"),
    ("issubset", "issuperset", "isdisjoint"),
    ("isdigit", "isalpha", "isalnum", "isdecimal", "isnumeric", "isspace", "isupper", "islower"),
    ("match", "search", "fullmatch", "findall", "finditer"),
    ("group", "groups", "groupdict", "start", "end", "span"),
    ("min", "max", "sum", "len"),
    ("any", "all"),
    ("int", "float", "str", "round"),
    ("list", "tuple", "set", "frozenset", "dict", "sorted", "iter"),
    ("sorted", "reversed", "list"),
    ("floor", "ceil", "trunc", "round"),
    ("isinstance", "issubclass"),
    ("getattr", "hasattr", "setattr"),
    ("encode", "decode"),
    ("read", "readline", "readlines"),
    ("first", "last"),
    ("left", "right"),
    ("start", "stop", "end"),
    ("next", "iter", "prev", "previous"),
    ("floor", "ceil"),
    ("push", "unshift"),
    ("shift", "pop"),
    ("slice", "splice"),
    ("some", "every"),
    ("map", "filter", "forEach", "find", "findIndex"),
    ("toLowerCase", "toUpperCase"),
    ("startsWith", "endsWith", "includes"),
    ("indexOf", "lastIndexOf"),
    ("trim", "trimStart", "trimEnd"),
)


def confused(name: str) -> list[str]:
    """Names of calls that are easily written instead of this one."""
    found = [other for family in _CONFUSED if name in family for other in family if other != name]
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Vocabulary:
    """One row of the table: node types by role, and how things are written.

    `binary` are the nodes of two operands with an operator between them; `operators` says what
    may stand in an operator's place. `conditions` are fields that hold a condition, by node.
    `statements` can be removed and moved, `blocks` hold them. `negated` and `grouped` are
    templates. `wraps` are functions that an expression may be passed through.
    """

    operators: Mapping[str, tuple[str, ...]]
    binary: frozenset[str]
    boolean: frozenset[str]
    unary: frozenset[str]
    conditions: Mapping[str, str]
    ternary: str
    calls: frozenset[str]
    arguments: frozenset[str]
    keyword: str
    attribute: str
    subscript: str
    slice: str
    numbers: frozenset[str]
    strings: frozenset[str]
    sequences: frozenset[str]
    identifiers: frozenset[str]
    statements: frozenset[str]
    simple: frozenset[str]
    blocks: frozenset[str]
    assignments: frozenset[str]
    returns: str
    parameters: frozenset[str]
    loop: Mapping[str, str]
    negated: str = "not ({})"
    not_prefix: str = "not "
    constants: tuple[str, ...] = ("True", "False", "None")
    null_test: str = "{} is None"
    receiver: str = "self"
    wraps: tuple[str, ...] = ()
    keywords: frozenset[str] = frozenset()
    indented: bool = False


PYTHON = Vocabulary(
    operators={
        **_ARITHMETIC,
        **_ORDER,
        **_ASSIGNED,
        "and": ("or",),
        "or": ("and",),
        "in": ("not in", "=="),
        "not in": ("in",),
        "is": ("is not", "=="),
        "is not": ("is", "!="),
    },
    binary=frozenset({"binary_operator", "comparison_operator", "boolean_operator"}),
    boolean=frozenset({"boolean_operator"}),
    unary=frozenset({"not_operator", "unary_operator"}),
    conditions={
        "if_statement": "condition",
        "elif_clause": "condition",
        "while_statement": "condition",
    },
    ternary="conditional_expression",
    calls=frozenset({"call"}),
    arguments=frozenset({"argument_list"}),
    keyword="keyword_argument",
    attribute="attribute",
    subscript="subscript",
    slice="slice",
    numbers=frozenset({"integer", "float"}),
    strings=frozenset({"string"}),
    sequences=frozenset({"tuple", "list", "expression_list", "pattern_list"}),
    identifiers=frozenset({"identifier"}),
    statements=frozenset(
        {
            *("expression_statement", "return_statement", "raise_statement", "if_statement"),
            *("for_statement", "while_statement", "with_statement", "try_statement"),
            *("assert_statement", "delete_statement", "break_statement", "continue_statement"),
        }
    ),
    simple=frozenset(
        {
            "expression_statement",
            "return_statement",
            "raise_statement",
            "break_statement",
            "continue_statement",
        }
    ),
    blocks=frozenset({"block"}),
    assignments=frozenset({"assignment", "augmented_assignment"}),
    returns="return_statement",
    parameters=frozenset({"parameters", "lambda_parameters"}),
    loop={"for_statement": "right", "for_in_clause": "right"},
    wraps=("str", "list", "int", "len", "tuple", "set", "abs", "sorted", "bool", "reversed"),
    keywords=frozenset({"print", "super", "cls"}),
    indented=True,
)

_BRACES = Vocabulary(
    operators={
        **_C_LIKE,
        **_ORDER,
        **_ASSIGNED,
        "&&": ("||",),
        "||": ("&&", "??"),
        "??": ("||",),
        "===": ("!==", ">=", "<="),
        "!==": ("===", ">", "<"),
    },
    binary=frozenset({"binary_expression"}),
    boolean=frozenset(),
    unary=frozenset({"unary_expression"}),
    conditions={
        "if_statement": "condition",
        "if_expression": "condition",
        "while_statement": "condition",
        "while_expression": "condition",
        "for_statement": "condition",
        "for_clause": "condition",
    },
    ternary="ternary_expression",
    calls=frozenset({"call_expression", "new_expression"}),
    arguments=frozenset({"arguments", "argument_list"}),
    keyword="",
    attribute="member_expression",
    subscript="subscript_expression",
    slice="slice_expression",
    numbers=frozenset({"number", "integer_literal", "float_literal", "int_literal"}),
    strings=frozenset({"string", "string_literal", "interpreted_string_literal"}),
    sequences=frozenset({"array", "array_expression", "tuple_expression"}),
    identifiers=frozenset({"identifier"}),
    statements=frozenset(
        {
            *("expression_statement", "return_statement", "throw_statement", "if_statement"),
            *("for_statement", "for_in_statement", "while_statement", "break_statement"),
            *("continue_statement", "assignment_statement", "inc_statement", "dec_statement"),
        }
    ),
    simple=frozenset({"expression_statement", "return_statement", "assignment_statement"}),
    blocks=frozenset({"statement_block", "block"}),
    assignments=frozenset(
        {
            "assignment_expression",
            "augmented_assignment_expression",
            "assignment_statement",
            "compound_assignment_expr",
        }
    ),
    returns="return_statement",
    parameters=frozenset({"formal_parameters", "parameters", "parameter_list"}),
    loop={"for_in_statement": "right"},
    negated="!({})",
    not_prefix="!",
    constants=("true", "false", "null"),
    null_test="{} === null",
    receiver="this",
)

VOCABULARIES: Mapping[str, Vocabulary] = {
    "python": PYTHON,
    "javascript": _BRACES,
    "typescript": _BRACES,
    "tsx": _BRACES,
    "go": _BRACES,
    "rust": _BRACES,
}
