#!/usr/bin/env python3
"""Makes decimal.json: what the contract's numbers are, worked out in Python's whole numbers, for plugin authors' tests.

    python3 make.py > decimal.json
"""
import json
import random
from fractions import Fraction

ONE = 10**8
FIXED = (-(2**63), 2**63 - 1)
AMOUNT = (-(2**127), 2**127 - 1)


def away(fraction):
    """Nearest whole number, half away from zero."""
    sign = -1 if fraction < 0 else 1
    return sign * int(abs(fraction) + Fraction(1, 2))


def fits(raw, limits):
    return str(raw) if limits[0] <= raw <= limits[1] else None


def text(raw):
    sign, raw = ("-", -raw) if raw < 0 else ("", raw)
    whole, part = divmod(raw, ONE)
    return sign + str(whole) + (("." + f"{part:08d}".rstrip("0")) if part else "")


def main():
    rng = random.Random(20240101)
    edges = [0, 1, -1, ONE, -ONE, ONE - 1, ONE + 1, 50_000_000, -50_000_000, 10**17, FIXED[0], FIXED[1], FIXED[1] - 1, 3 * ONE // 7]

    def fixed():
        if rng.random() < 0.2:
            return rng.choice(edges)
        return rng.choice([-1, 1]) * rng.randrange(10 ** rng.randrange(1, 19))

    parse = []
    for source in ["0", "-0", "1", "+1", "1.", ".5", "-.5", "0.00000001", "0.000000001", "1.230000000000", "92233720368.54775807", "92233720368.54775808",
                   "-92233720368.54775808", "-92233720368.54775809", "", "-", ".", "1e3", "1,5", " 1", "1 ", "0x1", "NaN", "1..2", "00012.50", "170141183460469231731687303715.88410572"]:
        digits = source[1:] if source[:1] in "+-" else source
        valid = digits.count(".") <= 1 and digits.replace(".", "").isdigit() and digits.replace(".", "").isascii()
        value = Fraction(source.rstrip(".") if valid and source.endswith(".") else (source if valid else "0"))
        exact = valid and (value * ONE).denominator == 1
        parse.append({"text": source,
                      "fixed": fits(int(value * ONE), FIXED) if exact else None,
                      "amount": fits(int(value * ONE), AMOUNT) if exact else None})
    for _ in range(60):
        raw = fixed()
        parse.append({"text": text(raw), "fixed": fits(raw, FIXED), "amount": fits(raw, AMOUNT)})

    written = [{"raw": str(raw), "text": text(raw)} for raw in edges + [fixed() for _ in range(40)]]
    two = [(fixed(), fixed()) for _ in range(120)] + [(a, b) for a in edges for b in (1, -1, FIXED[1])]
    steps = [(fixed(), rng.choice([1, 5, 1000, 1_000_000, ONE, 3])) for _ in range(60)]
    out = {
        "about": "Whole numbers of 1e-8 steps, written as text. null: an error. Rounding is half away from zero unless another rule is named.",
        "parse": parse,
        "text": written,
        "add": [{"a": str(a), "b": str(b), "is": fits(a + b, FIXED)} for a, b in two],
        "subtract": [{"a": str(a), "b": str(b), "is": fits(a - b, FIXED)} for a, b in two],
        "multiply": [{"a": str(a), "b": str(b), "is": fits(away(Fraction(a * b, ONE)), FIXED)} for a, b in two],
        "divide": [{"a": str(a), "b": str(b), "is": fits(away(Fraction(a * ONE, b)), FIXED) if b else None} for a, b in two],
        "notional": [{"price": str(a), "quantity": str(b), "is": str(away(Fraction(a * b, ONE)))} for a, b in two],
        "round": [{"a": str(a), "step": str(s), "down": fits(a // s * s, FIXED), "up": fits(-(-a // s) * s, FIXED),
                   "nearest": fits(away(Fraction(a, s)) * s, FIXED)} for a, s in steps],
    }
    print("{")
    for place, (name, value) in enumerate(out.items()):
        end = "," if place + 1 < len(out) else ""
        if isinstance(value, list):
            print(f'  "{name}": [')
            print(",\n".join("    " + json.dumps(row) for row in value))
            print(f"  ]{end}")
        else:
            print(f'  "{name}": {json.dumps(value)}{end}')
    print("}")


main()
