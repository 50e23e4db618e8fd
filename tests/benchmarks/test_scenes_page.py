"""docs/attention.md holds the kept record of wide scenes."""

from __future__ import annotations

import json

from scenes import page

KEPT = json.loads(page.RECORD.read_text("utf-8"))


def test_the_page_is_what_the_record_gives() -> None:
    text = page.PAGE.read_text("utf-8")
    assert page.fill(text, KEPT) == text, "run python benchmarks/cascade.py --scenes --only-page"
    assert page.attention_table(KEPT["results"]["attention"]) in text
    assert page.random_table(KEPT["results"]["random_means"]) in text


def test_the_threshold_is_the_cheapest_that_kept_the_accuracy() -> None:
    for row in KEPT["results"]["attention"]:
        kept = [
            each
            for each in row["tried"]
            if row["chosen_on"] - each["objects"] <= row["careful_points"] / 100 + 1e-9
        ]
        least = min(kept, key=lambda each: each["share"])["threshold"] if kept else None
        assert row["threshold"] == least


def test_the_reported_sets_are_not_the_one_for_choosing() -> None:
    for row in KEPT["results"]["attention"]:
        seeds = [each["seed"] for each in row["sets"]]
        assert len(set(seeds)) == 5
        assert row["chosen_seed"] not in seeds


def test_means_are_those_of_the_sets() -> None:
    results = KEPT["results"]
    assert page.random_means(results["random"]) == results["random_means"]
    for row in results["attention"]:
        for key, mean in row["mean"].items():
            assert abs(mean - sum(each[key] for each in row["sets"]) / len(row["sets"])) < 1e-9


def test_means_count_the_sets_in_which_entropy_is_ahead() -> None:
    rows = [
        {"pass 1": "a", "coverage": 0.1, "before": 0.5, "dense": 0.9, "entropy": e, "random": r}
        for e, r in ((0.8, 0.6), (0.7, 0.7), (0.6, 0.8))
    ]
    (mean,) = page.random_means(rows)
    assert (mean["ahead"], mean["n_sets"]) == (1, 3)
    assert round(mean["entropy"], 9) == round(mean["random"], 9) == 0.7


def test_an_empty_page_is_filled() -> None:
    names = ("scenes", "random scenes", "scenes made")
    empty = "\n".join(f"<!-- {name} --><!-- /{name} -->" for name in names)
    filled = page.fill(empty, KEPT)
    assert KEPT["command"] in filled
    assert filled.count("benchmarks/records/attention_scenes.json -->") == 2
