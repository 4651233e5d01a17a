from __future__ import annotations

import pytest

from dsabench.bench.suites import SuiteError, load_suite, parse_contexts, parse_suite, suite_names
from dsabench.kernels.op import UnknownNameError
from dsabench.kernels.registry import op_names

HEAD = 'name = "t"\ndescription = "d"\ncontext = ["4k", 8192]\n'


@pytest.mark.parametrize("name", suite_names())
def test_every_suite_of_the_package_loads(name):
    suite = load_suite(name)
    assert suite.name == name
    assert suite.description
    assert len(suite.workloads) == len(set(suite.workloads)) > 0


def test_the_suites_that_people_ask_for_exist():
    assert {"quick", "cpu-goals", "tiny", "v32-decode", "v32-prefill", "tp8", "long"} <= set(suite_names())
    assert {"flashmla-prefill", "flashmla-decode", "flashmla-dense-decode", "deepgemm-indexer", "tilelang"} <= set(
        suite_names()
    )


CACHE_OPS = {"quantize_kv_cache", "quantize_index_cache", "dequantize_kv_cache"}


def test_the_caches_have_a_suite_of_their_own():
    assert {w.op for w in load_suite("caches").workloads} == CACHE_OPS


def test_quick_has_every_step_of_attention_at_4k_16k_and_64k():
    contexts: dict[str, set[int]] = {}
    for workload in load_suite("quick").workloads:
        contexts.setdefault(workload.op, set()).add(workload.context)
    assert set(contexts) == set(op_names()) - CACHE_OPS
    assert all(each == {4096, 16384, 65536} for each in contexts.values())


def test_flashmla_decode_is_as_published():
    axes = [w.axis_values for w in load_suite("flashmla-decode").workloads]
    sizes = [(2, 2, 2048), (64, 2, 2048), (74, 2, 2048), (128, 2, 2048), (148, 2, 16384)]
    assert [(a["b"], a["s_q"], a["topk"]) for a in axes] == sizes
    assert {a["s_kv"] for a in axes} == {32768}


def test_lists_multiply_and_the_context_is_the_default():
    suite = parse_suite(HEAD + '[[workload]]\nop = "topk_select"\nrows = [1, 2]\nk = 64\nseed = 3\n', "t.toml", seed=10)
    found = [(w.axis_values["rows"], w.axis_values["s_kv"], w.axis_values["k"], w.seed) for w in suite.workloads]
    assert sorted(found) == [(1, 4096, 64, 13), (1, 8192, 64, 13), (2, 4096, 64, 13), (2, 8192, 64, 13)]


def test_given_contexts_replace_those_of_the_file_and_doubles_count_once():
    text = HEAD + '[[workload]]\nop = "topk_select"\n[[workload]]\nop = "topk_select"\ns_kv = "2k"\n'
    assert sorted(w.context for w in parse_suite(text, "t.toml").workloads) == [2048, 4096, 8192]
    assert [w.context for w in parse_suite(text, "t.toml", contexts=(512,)).workloads] == [512]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD + 'colour = 1\n[[workload]]\nop = "topk_select"\n', ["t.toml", "'colour'"]),
        (HEAD + '[[workload]]\nop = "topk_select"\nrow = 1\n', ["t.toml", "workload 1", "'row'", "rows"]),
        (HEAD + '[[workload]]\nop = "topk"\n', ["t.toml", "workload 1", "'topk'", "topk_select"]),
        (HEAD + "[[workload]]\nrows = 1\n", ["t.toml", "op must be a string"]),
        (HEAD + '[[workload]]\nop = "topk_select"\nrows = 0\n', ["t.toml", "rows = 0"]),
        (HEAD + '[[workload]]\nop = "topk_select"\nrows = "many"\n', ["t.toml", "rows", "'many'"]),
        (HEAD + '[[workload]]\nop = "topk_select"\nrows = 1.5\n', ["t.toml", "rows", "1.5"]),
        (HEAD + '[[workload]]\nop = "topk_select"\nrows = "context"\n', ["t.toml", "only s_kv"]),
        (HEAD + '[[workload]]\nop = "topk_select"\ndistribution = "odd"\n', ["t.toml", "'odd'"]),
        (HEAD + '[[workload]]\nop = "topk_select"\nseed = "x"\n', ["t.toml", "seed"]),
        (HEAD, ["t.toml", "at least one"]),
        ('name = "t"\ndescription = "d"\n[[workload]]\nop = "topk_select"\n', ["t.toml", "no context list"]),
        ('description = "d"\n', ["t.toml", "name"]),
        ("name = ", ["t.toml"]),
    ],
)
def test_what_is_wrong_with_a_suite_is_named(text, words):
    with pytest.raises(SuiteError) as caught:
        parse_suite(text, "t.toml")
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message


@pytest.mark.parametrize("text", ["0", "4k,0", "-1", "4q", "", "4k,,8k"])
def test_contexts_must_be_sizes_above_0(text):
    with pytest.raises(SuiteError):
        parse_contexts(text)


def test_contexts_are_read_in_k_and_m():
    assert parse_contexts("4k, 1m,512,4096") == (4096, 1048576, 512)


def test_a_suite_is_found_by_name_or_file_and_missing_ones_are_named(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + '[[workload]]\nop = "topk_select"\n')
    assert load_suite(str(path)).name == "t"
    with pytest.raises(UnknownNameError, match="did you mean 'quick'"):
        load_suite("quik")
    with pytest.raises(SuiteError, match=r"absent\.toml"):
        load_suite(str(tmp_path / "absent.toml"))
    with pytest.raises(UnknownNameError, match="unknown op"):
        load_suite("tiny", ops=("nothing",))
    with pytest.raises(SuiteError, match="no workload of op indexer_logits"):
        load_suite(str(path), ops=("indexer_logits",))
    assert {w.op for w in load_suite("tiny", ops=("topk_select",)).workloads} == {"topk_select"}
