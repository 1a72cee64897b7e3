#!/usr/bin/env python3
"""Writes sample-llm.csv: a synthetic trace in the format of the public Azure LLM inference traces.

    python3 traces/sample-llm.py > traces/sample-llm.csv

No row of it was measured. It is 500 requests of an imaginary chat service over about five minutes, made by integer
arithmetic from one fixed seed, so that every machine writes the same bytes.
"""

ROWS = 500
state = 2_718_281_828


def draw(below):
    """The next number of a linear congruential generator, from 0 to below - 1."""
    global state
    state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
    return (state >> 33) % below


print("TIMESTAMP,ContextTokens,GeneratedTokens")
ticks = 0  # tenths of a microsecond since noon
for row in range(ROWS):
    # Bursts: most requests follow within a second, one in eight after a pause of up to three.
    ticks += 10 * draw(30_000_00 if draw(8) == 0 else 600_000)
    ticks += draw(10)
    # Four conversations of growing length, and short answers that are sometimes long.
    context = 40 + draw(200) + 350 * draw(4) + (1500 + draw(2500) if draw(12) == 0 else 0)
    generated = 1 + draw(120) + (draw(600) if draw(5) == 0 else 0)
    seconds, fraction = divmod(ticks, 10_000_000)
    print(f"2024-01-01 12:{seconds // 60:02}:{seconds % 60:02}.{fraction:07},{context},{generated}")
