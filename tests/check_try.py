#!/usr/bin/env python3
"""Refuses TRY within a braced list, but as its first element: gcc does not destroy what the list already holds when TRY
returns from the middle of it (a lease would never be given back). Put the value in a variable of its own first.

check_try.py [--self-test]
"""
import pathlib
import re
import sys

SOURCES = pathlib.Path(__file__).resolve().parent.parent / "src"
TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'|[A-Za-z_]\w*|\d[\w.\']*|->|::|\S', re.S)
BEFORE_A_BODY = {")", "]", "&", "const", "noexcept", "override", "final", "mutable", "else", "do", "try"}
TYPES = {"struct", "class", "enum", "namespace", "union", "extern"}


def is_list(tokens):
    """Whether the brace that follows `tokens` begins a braced list, not a body."""
    if not tokens or tokens[-1] in BEFORE_A_BODY or tokens[-1] in (";", "}", ":"):
        return False
    if tokens[-1] == "{":
        return False if not LISTS or not LISTS[-1] else True
    statement = []
    for token in reversed(tokens):
        if token in (";", "{", "}"):
            break
        statement.append(token)
    if TYPES & set(statement):
        return False
    # The return type of a lambda or a function: `-> Result<void> {`.
    depth = 0
    for token in statement:
        depth += (token == ">") - (token == "<")
        if depth == 0 and token == "->":
            return False
        if depth == 0 and not re.fullmatch(r"[A-Za-z_]\w*|::|>|<|\*|&", token):
            break
    return True


LISTS = []  # of the open braces: whether each is a list


def breaches(text):
    """Lines on which a TRY stands behind another element of a braced list."""
    LISTS.clear()
    found, tokens, frames = [], [], []  # frames: (opening bracket, is it a list, elements before)
    for match in TOKEN.finditer(text):
        token = match.group()
        if token.startswith(("//", "/*")):
            continue
        if token == "{":
            listed = is_list(tokens)
            LISTS.append(listed)
            frames.append([token, listed, 0])
        elif token in "([":
            frames.append([token, False, 0])
        elif token in "}])" and frames:
            if frames.pop()[0] == "{":
                LISTS.pop()
        elif token == "," and frames:
            frames[-1][2] += 1
        elif token == "TRY":
            for bracket, listed, before in reversed(frames):
                if bracket == "{" and not listed:
                    break
                if listed and before > 0:
                    found.append(text.count("\n", 0, match.start()) + 1)
                    break
        tokens.append(token)
    return found


GOOD = """Result<void> f() { Two two{TRY(good())}; call(a, TRY(b())); if (x) { TRY(c()); } return {}; }
auto g = [&](int a, int b) -> Result<void> { TRY(h()); return {}; };
auto h = parallel(2, [&](unsigned i) -> Result<std::pair<A, B>> { TRY(x(i)); return {}; }, [&] { TRY(y()); });
struct S : public B { Result<void> f() const override { TRY(c()); return {}; } };
std::vector<Pair> list{{1, 2}, {3, 4}}; void k() { TRY(d()); }
"""
BAD = ["Two two{a, TRY(b())};", "return Two{a, TRY(b())};", "v.push_back({a, TRY(b())});", "return Two{.a = x, .b = TRY(y())};",
       "Two t = {a, f(1, TRY(b()))};", "std::vector<L> v{{a, b}, {TRY(x())}};", "return Unit<int>{made++, TRY(lease())};"]


def main():
    if "--self-test" in sys.argv:
        assert breaches(GOOD) == [], breaches(GOOD)
        for line in BAD:
            assert breaches("Result<void> f() {\n" + line + "\n}") == [2], line
        return 0
    count = 0
    for path in sorted(SOURCES.rglob("*.[ch]pp")):
        for line in breaches(path.read_text()):
            print(f"{path}:{line}: TRY behind another element of a braced list; give its value a variable first")
            count += 1
    return count > 0


if __name__ == "__main__":
    sys.exit(main())
