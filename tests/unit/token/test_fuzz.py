import os

import pytest

from tests.support import token_mutations

REASONS_A_STRANGER_MEETS = {
    "prefix_unknown",
    "base45_invalid",
    "cbor_truncated",
    "cbor_trailing",
    "cose_structure",
    "unprotected_not_empty",
    "key_unknown",
    "alg_mismatch",
    "signature_invalid",
}
REASONS_AN_ISSUER_MEETS = {
    "cbor_type",
    "cbor_key_order_or_duplicate",
    "claim_missing",
    "claim_type",
    "claim_range",
}


def fuzz(turns, seed, scoreboard):
    outcomes = token_mutations.run(
        turns, seed
    )  # raises for a believed mutant and for anything raised
    scoreboard.count("mutants", tried=sum(outcomes.values()))
    met = {world: set() for world in ("stranger", "careless_issuer")}
    for outcome in outcomes:
        world, _, reason = outcome.partition(": ")
        met[world].add(reason)
    assert met["stranger"] >= REASONS_A_STRANGER_MEETS  # the mutants get past the first check, too
    assert met["careless_issuer"] >= REASONS_AN_ISSUER_MEETS


def test_no_mutant_of_a_good_token_is_believed_and_nothing_is_raised(scoreboard):
    fuzz(range(5000), seed=20261121, scoreboard=scoreboard)


@pytest.mark.slow
@pytest.mark.timeout(0)  # as long as EDGE_SCANNER_FUZZ_S says
def test_no_mutant_is_believed_in_a_long_run_either(scoreboard):
    seconds = float(os.environ.get("EDGE_SCANNER_FUZZ_S", "300")) * scoreboard.times
    seed = int.from_bytes(os.urandom(4), "big")
    fuzz(token_mutations.until_over(seconds), seed, scoreboard)
