from memory.domain.fusion import K, fuse


def test_what_two_rankings_name_comes_before_what_one_names_first() -> None:
    assert fuse([["a", "b"], ["b", "c"]]) == ["b", "a", "c"]


def test_the_score_is_the_sum_of_reciprocal_ranks() -> None:
    # a: 1/61 + 1/64; b: 1/62 + 1/62: by hand 0.032018 and 0.032258.
    assert fuse([["a", "b"], ["x", "b", "y", "a"]])[:2] == ["b", "a"]
    assert 1 / (K + 1) + 1 / (K + 4) < 2 / (K + 2)


def test_one_ranking_stays_as_it_is_and_equals_keep_their_order() -> None:
    assert fuse([["c", "a", "b"]]) == ["c", "a", "b"]
    assert fuse([["a"], ["b"]]) == ["a", "b"]
    assert fuse([[], []]) == []
