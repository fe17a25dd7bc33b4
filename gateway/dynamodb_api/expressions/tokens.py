"""Expressions of DynamoDB as tokens, and AWS's words for what is no expression."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hearth.errors import ValidationFailed

_TOKEN = re.compile(r"\s*(?:(#[\w-]+)|(:[\w-]+)|([A-Za-z_]\w*)|(\d+)|(<>|<=|>=|[=<>(),.\[\]+-]))", re.ASCII)
NAME, VALUE, WORD, NUMBER, SIGN, END = "name", "value", "word", "number", "sign", "end"
_KINDS = (NAME, VALUE, WORD, NUMBER, SIGN)


@dataclass(frozen=True, slots=True)
class Token:
    """start, end: where it stands in the text."""

    kind: str
    text: str
    start: int
    end: int


class Tokens:
    """What is left of one expression. `member` is the request's: ConditionExpression, UpdateExpression, ..."""

    def __init__(self, member: str, text: str) -> None:
        self.member = member
        self._text = text
        if not text.strip():
            raise self.invalid("The expression can not be empty;")
        self._tokens = list(self._split())
        self._at = 0

    def _split(self) -> list[Token]:
        tokens: list[Token] = []
        at, end = 0, len(self._text.rstrip())
        while at < end:
            match = _TOKEN.match(self._text, at)
            if match is None:
                start = at + len(self._text[at:]) - len(self._text[at:].lstrip())
                raise self._syntax(Token(SIGN, self._text[start], start, start + 1), tokens[-1:])
            kind = _KINDS[(match.lastindex or 1) - 1]
            tokens.append(Token(kind, match[match.lastindex or 1], match.start(match.lastindex or 1), match.end()))
            at = match.end()
        tokens.append(Token(END, "<EOF>", end, end))
        return tokens

    @property
    def next(self) -> Token:
        return self._tokens[self._at]

    @property
    def after_next(self) -> Token:
        return self._tokens[min(self._at + 1, len(self._tokens) - 1)]

    def take(self) -> Token:
        token = self._tokens[self._at]
        if token.kind == END:
            raise self.syntax()
        self._at += 1
        return token

    def accept(self, sign: str) -> bool:
        """Take the sign if it comes next."""
        found = self.next.kind == SIGN and self.next.text == sign
        self._at += found
        return found

    def accept_word(self, word: str) -> bool:
        """Take the keyword if it comes next, in any case."""
        found = self.next.kind == WORD and self.next.text.upper() == word
        self._at += found
        return found

    def expect(self, sign: str) -> None:
        if not self.accept(sign):
            raise self.syntax()

    def expect_word(self, word: str) -> None:
        if not self.accept_word(word):
            raise self.syntax()

    def expect_end(self) -> None:
        if self.next.kind != END:
            raise self.syntax()

    def syntax(self) -> ValidationFailed:
        """What comes next is out of place."""
        before, after = self._tokens[max(0, self._at - 1) : self._at], self._tokens[self._at + 1 : self._at + 2]
        return self._syntax(self.next, [*before, *(one for one in after if one.kind != END)])

    def _syntax(self, token: Token, around: list[Token]) -> ValidationFailed:
        start, end = min(one.start for one in [token, *around]), max(one.end for one in [token, *around])
        return self.invalid(f'Syntax error; token: "{token.text}", near: "{self._text[start:end].strip()}"')

    def invalid(self, problem: str) -> ValidationFailed:
        return ValidationFailed(f"Invalid {self.member}: {problem}")
