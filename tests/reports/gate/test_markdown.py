"""The job summary, read back with a Markdown parser: nothing of others' becomes markup, and it fits however much there is."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from dsabench.bench.gate.records import Change, RowVerdict
from dsabench.reports.gate.escape import BREAK, escaped
from dsabench.reports.gate.markdown import LEAST_LIMIT, SUMMARY_LIMIT, render_markdown
from dsabench.reports.gate.words import plain_line
from tests.reports.gate.results import HOSTILE, invalid, result, row, side, static_row

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
OURS = re.compile(r"</?(details|summary|br|b|sub|span)>")
R = RowVerdict


def flat(text: str) -> list[Token]:
    return [token for block in PARSER.parse(text) for token in (block, *(block.children or []))]


def shown(inline: Token) -> str:
    """What a reader sees of an inline token."""
    assert inline.children is not None
    words = []
    for token in inline.children:
        if token.type == "html_inline":
            assert OURS.fullmatch(token.content), token.content
            words.append("\n" if token.content == "<br>" else "")
        elif token.type == "text":
            words.append(token.content)
        else:
            assert token.type in ("strong_open", "strong_close"), token
    return "".join(words).replace(BREAK, "")


def tables(text: str) -> list[list[list[str]]]:
    """Tables of rows of cells."""
    found: list[list[list[str]]] = []
    for token in PARSER.parse(text):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and token.level == 4 and found and found[-1]:
            found[-1][-1].append(shown(token))
    return found


def rows_shown(text: str) -> int:
    return sum(cells[0] in set(RowVerdict) for table in tables(text) for cells in table)


def harmless(text: str) -> None:
    for token in flat(text):
        assert token.type not in ("link_open", "image", "em_open", "s_open", "code_block", "hr"), token
        if token.type in ("html_block", "html_inline"):
            assert not OURS.sub("", token.content).strip().startswith("<"), token.content


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_shown_as_it_is(text: str) -> None:
    for place in ("{}", "- {}", "| a |\n|---|\n| {} |"):
        inline = [token for token in flat(place.format(escaped(text))) if token.type == "inline" and token.level]
        assert shown(inline[-1]) == plain_line(text) if plain_line(text) else not "".join(map(shown, inline)).strip("a")


def test_what_github_finds_in_rendered_text_is_broken_up() -> None:
    seen = escaped("@octocat #12 octo/repo#3 GH-7 https://a.example www.a.example :tada: me@a.example")
    assert not re.search(r"@\w|#\d|GH-\d|://|www\.|:tada:", seen)


@given(st.text(max_size=200), st.integers(min_value=3, max_value=300))
def test_escaped_text_keeps_to_its_bytes(text: str, most: int) -> None:
    out = escaped(text, most)
    assert len(out.encode()) <= most
    assert "\n" not in out
    assert "|" not in out
    harmless(f"- {out}\n")


def test_a_reader_finds_the_facts() -> None:
    slow = row(R.SLOWER, 1.157, reason="15.7 % slower", candidate_config={"BLOCK_N": 128, "num_warps": 4})
    text = render_markdown(
        result([row(), row(R.FASTER, 0.8, renamed_from="old"), slow], notices=["the machine drifted"])
    )
    assert text.startswith("## ❌ dsabench gate: REGRESSED\n\n1 slower, 1 faster, 1 same of 3 rows\n")
    assert "\n- the machine drifted\n" in text
    sides, loud, quiet = tables(text)
    assert ["torch", "2.12.1", "2.13.0"] in sides
    assert ["source", "origin/main", "HEAD"] in sides
    assert not any(cells[0] == "python" for cells in sides), "versions that agree say nothing"
    assert loud[1] == [
        "SLOWER",
        "topk_select/triton",
        "s_q=1 s_kv=64k k=2k",
        "50.0 µs → 57.9 µs",
        "+7.85 µs",
        "1.157× (1.147–1.167)",
        "1.2 %",
        "3.0 %",
        "15.7 % slower\nconfig: BLOCK_N 64 → 128",
    ]
    assert [cells[0] for cells in quiet[1:]] == ["FASTER", "SAME"]
    assert quiet[1][1] == "topk_select/triton\nrenamed from old"
    assert text.index("<details><summary>1 FASTER, 1 SAME</summary>") > text.index("SLOWER")


def test_static_rows_show_their_changes() -> None:
    text = render_markdown(result([static_row(R.SLOWER), static_row()], mode="static", device=None, arch="sm_90a"))
    _, loud, _ = tables(text)
    assert loud[0] == ["verdict", "kernel", "workload", "config", "changes", "why"]
    assert loud[1][4] == "spills in the main loop: 0 → 16\ninstructions: 4100 → 4230"
    assert "<b>spills in the main loop: 0 → 16</b>" in text
    assert "sm_90a" in text


def test_a_gate_without_rows_says_so() -> None:
    text = render_markdown(invalid("the GPU is busy"))
    assert "INVALID\n\nthe GPU is busy\n" in text
    assert "There is no row: nothing was compared." in text


def test_passing_is_short() -> None:
    text = render_markdown(result([row()]))
    assert "## ✅ dsabench gate: PASS" in text
    assert "No row is slower, broken or missing." in text


def test_commands_stand_in_a_block_that_they_cannot_leave() -> None:
    command = "dsabench gate ``` </details> $(x)"
    text = render_markdown(result([row(R.SLOWER, 1.2, command=command)], command=""))
    block = next(token for token in PARSER.parse(text) if token.type == "fence")
    assert block.content == f"{command}\n"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_strings_everywhere(text: str) -> None:
    bad = row(
        R.BROKEN,
        op=text,
        impl=text,
        axes={text: 7},
        distribution=text,
        reason=text,
        renamed_from=text,
        baseline_config={text: text},
        candidate_config={text: "other"},
        command=text,
        changes=[Change(name=text, baseline=text, candidate=None, worse=True)],
    )
    for mode in ("trees", "static"):
        page = render_markdown(
            result(
                [bad, row()],
                mode=mode,
                reason=text,
                noise_from=text,
                notices=[text],
                command=text,
                started=text,
                arch=text,
                baseline=side(text, text, **{text or "x": text}),
            )
        )
        harmless(page)
        assert rows_shown(page) == 2
        assert all(len(cells) == len(table[0]) for table in tables(page) for cells in table)


def test_cut_at_the_end_and_counted() -> None:
    rows = [row(R.SLOWER, 1.1 + i / 1000, seed=i) for i in range(40)] + [row(seed=i) for i in range(400)]
    text = render_markdown(result(rows), LEAST_LIMIT)
    assert len(text.encode()) <= LEAST_LIMIT
    kept = rows_shown(text)
    assert 10 < kept < 440
    assert f"**{440 - kept} rows are left out for want of room**" in text
    # The worst of all comes first, the least bad are what is missing.
    assert "+6.95 µs" in tables(text)[1][1]
    assert all(len(cells) == 9 for table in tables(text)[1:] for cells in table)


def test_a_summary_that_github_would_drop_is_cut() -> None:
    rows = [row(R.SLOWER, 1.2, reason="x" * 3_000_000)] + [row(R.BROKEN, seed=i, reason="|" * 900) for i in range(3000)]
    text = render_markdown(result(rows))
    assert SUMMARY_LIMIT * 0.99 < len(text.encode()) <= SUMMARY_LIMIT
    assert "rows are left out" in text
    assert text.splitlines()[0] == "## ❌ dsabench gate: REGRESSED"


def test_a_limit_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="9999 bytes; the headline needs 10000"):
        render_markdown(result([row()]), LEAST_LIMIT - 1)


texts = st.one_of(
    st.sampled_from(HOSTILE), st.text(max_size=30), st.sampled_from(["$" * 5000, "🎉" * 2000, "a@" * 3000])
)
rows = st.builds(
    row,
    st.sampled_from(list(RowVerdict)),
    st.sampled_from([None, 1.0, 1.2]),
    op=texts,
    reason=texts,
    command=texts,
    distribution=texts,
    renamed_from=st.none() | texts,
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(rows, max_size=30),
    texts,
    st.lists(texts, max_size=30),
    st.dictionaries(texts, texts, max_size=20),
    st.sampled_from(["trees", "static"]),
)
def test_any_result_fits_and_names_its_verdict(
    given_rows: list, text: str, notices: list[str], versions: dict[str, str], mode: str
) -> None:
    given_result = result(
        given_rows, reason=text, notices=notices, mode=mode, noise_from=text, baseline=side(text, text, **versions)
    )
    page = render_markdown(given_result, LEAST_LIMIT)
    assert len(page.encode()) <= LEAST_LIMIT
    assert page.splitlines()[0].endswith(f"dsabench gate: {given_result.verdict}")
    html = "".join(token.content for token in PARSER.parse(page) if token.type == "html_block")
    assert html.count("<details>") == html.count("</details>")
    left = re.search(r"\*\*(\d+) rows are left out", page)
    assert rows_shown(page) + (int(left[1]) if left else 0) == len(given_rows)
    harmless(page)
