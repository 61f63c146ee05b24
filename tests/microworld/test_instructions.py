"""Instructions in plain text."""

from __future__ import annotations

import re

from kosmos_eval.microworld.instructions import make_instruction

MADE = [make_instruction(f"test|{number}") for number in range(600)]


def test_an_instruction_is_fixed_by_its_subject_and_they_differ() -> None:
    assert make_instruction("test|7") == MADE[7]
    assert len(set(MADE)) > 450


def test_outputs_are_never_empty_and_never_the_instruction() -> None:
    for made in MADE:
        assert made.output
        assert made.output != made.text


def test_what_can_be_checked_is_right() -> None:
    checked = set()
    for text, output in MADE:
        if match := re.fullmatch(r"What is (\d) plus (\d)\?", text):
            assert output == str(int(match[1]) + int(match[2]))
            checked.add("sum")
        if match := re.fullmatch(r"Spell the word (\w+)\.", text):
            assert output.replace(" ", "") == match[1]
            checked.add("spell")
        if match := re.fullmatch(r"Write the word ([\w ]+)\.", text):
            assert output == match[1].replace(" ", "")
            checked.add("write")
        if match := re.fullmatch(r"How many letters does (\w+) have\?", text):
            assert output == str(len(match[1]))
            checked.add("letters")
        if match := re.fullmatch(r"Which number is larger, (\d) or (\d)\?", text):
            assert output == max(match[1], match[2])
            checked.add("larger")
    assert checked == {"sum", "spell", "write", "letters", "larger"}
