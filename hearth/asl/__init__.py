"""Amazon States Language: definitions in, compiled and checked states out. Pure: no I/O, no clock.

`parse.parse_definition(text)` gives a `definition.Definition`; `lint.lint(text, …)` the diagnostics of a text.
"""
