"""`python -m evstream` lists the settings."""

import textwrap

from . import _native

for name, kind, text in _native.options():
    print(f"{name}: {kind}")
    print(textwrap.fill(" ".join(text.split()), width=100, initial_indent="    ", subsequent_indent="    "))
