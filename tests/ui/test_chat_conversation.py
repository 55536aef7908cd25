"""A conversation is a tree: nothing said is lost, and the shown path is what the model reads."""

from __future__ import annotations

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from ui.chat.conversation import Conversation, messages_until
from ui.chat.export import as_json, as_markdown
from ui.chat.reply import plain_text


def contents(conversation):
    return [turn.content for turn in conversation.path]


def test_an_edited_question_is_a_branch_and_the_old_one_stays_reachable():
    conversation = Conversation()
    first = conversation.say("one")
    conversation.say("two")
    other = conversation.edit(first, "ONE")
    assert contents(conversation) == ["ONE"]
    assert (other.place, len(other.variants)) == (1, 2)
    conversation.show(first)
    assert contents(conversation) == ["one", "two"]
    assert {turn.content for turn in conversation.turns()} == {"one", "two", "ONE"}


def test_an_edit_in_the_middle_leaves_what_came_before():
    conversation = Conversation()
    conversation.say("one")
    second = conversation.say("two")
    conversation.say("three")
    conversation.edit(second, "zwei")
    conversation.say("drei")
    assert contents(conversation) == ["one", "zwei", "drei"]
    conversation.show(second)
    assert contents(conversation) == ["one", "two", "three"]


def test_the_model_reads_the_branch_of_the_question_and_the_system_prompt_first():
    conversation = Conversation()
    first = conversation.say("one")
    conversation.edit(first, "ONE")
    last = conversation.say("two")
    assert messages_until(last, " Be brief. ") == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "ONE"},
        {"role": "user", "content": "two"},
    ]
    assert messages_until(first, "  ") == [{"role": "user", "content": "one"}]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), max_size=30))
def test_whatever_is_said_edited_and_shown_nothing_is_lost_and_the_path_is_a_path(actions):
    conversation, said = Conversation(), []
    for number, (action, place) in enumerate(actions):
        turns = conversation.turns()
        if action == 0 or not turns:
            said.append(conversation.say(str(number)))
        elif action == 1:
            said.append(conversation.edit(turns[place % len(turns)], str(number)))
        else:
            conversation.show(turns[place % len(turns)])
        path = conversation.path
        assert all(later.before is earlier for earlier, later in itertools.pairwise(path))
    assert sorted(turn.number for turn in conversation.turns()) == sorted(turn.number for turn in said)


def test_an_answer_continues_its_text_directly_when_there_is_no_template():
    messages = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "The with"},
        {"role": "assistant", "content": " statement"},
        {"role": "user", "content": "More"},
    ]
    assert plain_text(messages) == "S\nThe with statement\nMore"
    assert plain_text([{"role": "user", "content": "alone"}]) == "alone"


def test_an_export_holds_the_shown_path_as_text_and_every_branch_as_json():
    conversation = Conversation()
    first = conversation.say("one <b>")
    conversation.edit(first, "ONE é")
    assert "## You\n\nONE é" in as_markdown(conversation, "m")
    assert "one <b>" not in as_markdown(conversation, "m")
    record = json.loads(as_json(conversation, "m"))
    assert [(turn["content"], turn["is_shown"], turn["follows"]) for turn in record["turns"]] == [
        ("one <b>", False, None),
        ("ONE é", True, None),
    ]
