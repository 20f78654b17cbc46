"""The ledger of a session: what its requests took, and the budget that they may not pass."""

import gc
import threading
from dataclasses import replace

import pytest

from glm_magic.api.cost import Cost
from glm_magic.api.events import Source, Usage
from glm_magic.api.reply import Reply
from glm_magic.api.requests import Message
from glm_magic.api.tables import Currency
from glm_magic.api.tool import ToolCall
from glm_magic.errors import SettingsError
from glm_magic.session.ledger import Budget, Ledger
from glm_magic.session.usage import Spent, UsageRow, spend_of, spend_of_embeddings, sum_rows

HOST = "open.bigmodel.cn"
USAGE = Usage(1_000, 500, 1_500, cached_tokens=0, reasoning_tokens=100)
WHOLE = Reply("a", model="glm-5.3", endpoint=HOST, usage=USAGE, billed_in="CNY", state="complete")
PROMPT = (Message("user", "a" * 40),)
SOURCE = Source(1, "", "", "", "", "")
CENTS = Spent("glm-5.3", HOST, USAGE, 0, Cost(0.022, "CNY", "2026-08"), "CNY", False)


def cny(amount: float) -> Cost:
    return Cost(amount, "CNY", "2026-08")


# -- one request ---------------------------------------------------------------------------


def test_a_reply_takes_what_the_server_counted() -> None:
    assert spend_of(WHOLE, prompt=PROMPT) == CENTS


@pytest.mark.parametrize("state", ["stopped", "cut off", "complete", "withdrawn"])
def test_without_the_servers_counts_tokens_are_estimated(state: str) -> None:
    partial = Reply("一" * 30, "b" * 40, model="glm-5.3", endpoint=HOST, billed_in="CNY")
    spent = spend_of(replace(partial, state=state), prompt=PROMPT)
    assert spent.usage == Usage(16, 30, 46, reasoning_tokens=10)
    assert spent.cost is not None
    assert spent.cost.amount == pytest.approx((16 * 8 + 30 * 28) / 1e6)
    assert spent.is_estimated


def test_a_call_of_a_tool_is_part_of_what_was_received() -> None:
    reply = Reply(model="m", tool_calls=(ToolCall("1", "f", "x" * 40),), state="cut off")
    assert spend_of(reply).usage == Usage(0, 10, 10)


@pytest.mark.parametrize("model", ["glm-5.3", "my-own"])
def test_what_failed_before_anything_came_costs_nothing(model: str) -> None:
    spent = spend_of(
        Reply(model=model, endpoint=HOST, billed_in="CNY", state="failed"), prompt=PROMPT
    )
    assert (spent.usage, spent.is_estimated) == (Usage(), False)
    assert spent.cost is not None
    assert spent.cost.amount == 0


def test_a_model_without_a_price_has_no_cost() -> None:
    assert spend_of(replace(WHOLE, model="my-own")).cost is None


def test_where_nobody_is_billed_there_is_no_cost() -> None:
    spent = spend_of(replace(WHOLE, billed_in=None, found=(SOURCE,)), engine="search_std")
    assert (spent.cost, spent.billed_in, spent.searches) == (None, None, 1)


def test_the_model_is_the_one_that_was_asked_for() -> None:
    assert spend_of(replace(WHOLE, model="other", asked_model="glm-5.3")).model == "glm-5.3"


def test_a_search_that_found_something_is_paid() -> None:
    spent = spend_of(replace(WHOLE, found=(SOURCE, SOURCE)), engine="search_pro_sogou")
    assert (spent.searches, spent.unpriced_searches) == (1, 0)
    assert spent.cost is not None
    assert spent.cost.amount == pytest.approx(0.072)


def test_a_search_that_was_not_asked_for_or_found_nothing_is_not_counted() -> None:
    assert spend_of(replace(WHOLE, found=(SOURCE,))) == CENTS
    assert spend_of(WHOLE, engine="search_std") == CENTS


def test_a_search_without_a_price_is_counted_apart() -> None:
    spent = spend_of(replace(WHOLE, found=(SOURCE,)), engine="other")
    assert spent == replace(CENTS, searches=1, unpriced_searches=1)


def test_embeddings_are_paid_by_their_input() -> None:
    usage = Usage(2_000_000, 0, 2_000_000)
    assert spend_of_embeddings("embedding-2", HOST, usage, "CNY") == Spent(
        "embedding-2", HOST, usage, 0, Cost(1.0, "CNY", "2026"), "CNY", False
    )
    assert spend_of_embeddings("embedding-2", "local", usage, None).cost is None


def test_texts_that_the_server_did_not_count_are_estimated() -> None:
    spent = spend_of_embeddings("m", "local", Usage(), None, texts=("a" * 40, "b" * 4, ""))
    assert (spent.usage, spent.is_estimated) == (Usage(11, 0, 11), True)


# -- sums ----------------------------------------------------------------------------------


def test_a_ledger_has_a_row_for_each_host_and_model_in_order_of_first_use() -> None:
    ledger = Ledger()
    other = replace(CENTS, model="a", cost=cny(1.0))
    for spent in (CENTS, other, CENTS, replace(CENTS, host="api.z.ai")):
        ledger.add(spent)
    rows = [(row.host, row.model, row.requests) for row in ledger.rows()]
    assert rows == [(HOST, "glm-5.3", 2), (HOST, "a", 1), ("api.z.ai", "glm-5.3", 1)]
    assert sum(row.requests for row in ledger.rows()) == 4
    assert sum(row.tokens for row in ledger.rows()) == 6_000


def test_a_row_has_the_sums_of_its_requests() -> None:
    ledger = Ledger()
    ledger.add(CENTS)
    usage = Usage(10, 20, 30, cached_tokens=5, reasoning_tokens=7)
    cost = Cost(1.0, "CNY", "2026-09")
    ledger.add(Spent("glm-5.3", HOST, usage, 1, cost, "CNY", True, unpriced_searches=1))
    (row,) = ledger.rows()
    assert row == UsageRow(
        host=HOST,
        model="glm-5.3",
        currency="CNY",
        requests=2,
        prompt_tokens=1_010,
        cached_tokens=5,
        completion_tokens=520,
        reasoning_tokens=107,
        searches=1,
        known_cost=1.022,
        unpriced=0,
        unpriced_searches=1,
        estimated=1,
        dates=("2026-08", "2026-09"),
    )
    assert (row.cost, row.read) == (1.022, "2026-08 to 2026-09")


def test_a_cost_that_is_unknown_in_part_is_unknown() -> None:
    row = UsageRow(HOST, "m", "CNY", 2, 1, 0, 1, 0, 0, known_cost=0.5, unpriced=1)
    assert (row.cost, row.read) == (None, "")


def test_a_plan_and_a_key_at_one_host_are_two_rows() -> None:
    ledger = Ledger()
    ledger.add(CENTS)
    ledger.add(replace(CENTS, cost=None, billed_in=None))
    assert [(row.currency, row.cost) for row in ledger.rows()] == [("CNY", 0.022), (None, None)]


def test_what_was_spent_is_told_by_currency() -> None:
    ledger = Ledger()
    ledger.add(CENTS)
    ledger.add(replace(CENTS, cost=Cost(0.5, "USD", "2026-09"), billed_in="USD"))
    ledger.add(replace(CENTS, cost=None))
    costs = {row.currency: row.known_cost for row in ledger.rows()}
    assert (costs["CNY"], costs["USD"]) == (0.022, 0.5)


def test_a_sum_of_rows_has_all_their_dates() -> None:
    rows = [
        UsageRow(HOST, "a", "CNY", 1, 2, 0, 3, 0, 0, known_cost=0.5, dates=("2026-09",)),
        UsageRow(HOST, "b", "CNY", 4, 5, 0, 6, 0, 0, known_cost=0.25, dates=("2026-08",)),
    ]
    dates = ("2026-08", "2026-09")
    total = UsageRow("", "all", "CNY", 5, 7, 0, 9, 0, 0, known_cost=0.75, dates=dates)
    assert sum_rows(rows, model="all") == total


def test_a_ledger_is_as_large_as_its_models_are_many() -> None:
    ledger = Ledger()
    for _ in range(10_000):
        ledger.add(CENTS)
    (row,) = ledger.rows()
    assert (row.requests, row.dates) == (10_000, ("2026-08",))


def test_threads_may_share_a_ledger() -> None:
    ledger = Ledger()

    def work() -> None:
        for _ in range(500):
            with ledger.reserve(None, cny(1.0), "CNY", "m") as reservation:
                reservation.settle(CENTS)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(row.requests for row in ledger.rows()) == 4_000
    assert ledger.budget(1.0, "CNY") == Budget(1.0, "CNY", pytest.approx(88.0), 0.0)


# -- the budget ----------------------------------------------------------------------------


def test_a_budget_that_is_passed_lets_nothing_more_pass() -> None:
    Budget(5.0, "CNY", 5.0).check_spent()
    with pytest.raises(SettingsError) as caught:
        Budget(5.0, "CNY", 5.01).check_spent()
    assert str(caught.value) == (
        "the budget of ¥5.00 is passed: ¥5.01 spent; `%glm config budget=10` raises it, "
        "`budget=None` lifts it"
    )


def test_a_request_that_would_pass_the_budget_is_refused() -> None:
    ledger = Ledger()
    ledger.add(replace(CENTS, cost=cny(4.98)))
    with pytest.raises(SettingsError) as error:
        ledger.reserve(5.0, cny(0.05), "CNY", "glm-5.3")
    assert str(error.value) == (
        "the budget of ¥5.00 would be passed: ¥4.98 spent, this request is about ¥0.050; "
        "`%glm config budget=10` raises it, `budget=None` lifts it"
    )
    ledger.reserve(5.0, cny(0.01), "CNY", "glm-5.3")


@pytest.mark.parametrize(
    ("limit", "estimate", "proposal"),
    [(0, 0.0001, "0.01"), (0.3, 0.4, "1"), (5, 80, "100"), (1e6, 2e6, "2000000")],
)
def test_the_budget_proposed_is_round_and_would_do(
    limit: float, estimate: float, proposal: str
) -> None:
    with pytest.raises(SettingsError, match=f"config budget={proposal}` raises"):
        Ledger().reserve(limit, cny(estimate), "CNY", "m")


def test_a_model_without_a_price_is_refused_under_a_budget() -> None:
    with pytest.raises(SettingsError) as error:
        Ledger().reserve(5.0, None, "CNY", "my\nown")
    assert str(error.value) == (
        "no price is known for 'my\\nown', so the budget of ¥5.00 cannot hold; "
        "`%glm config catalog=FOLDER` with a prices.csv gives one, `budget=None` lifts it"
    )


@pytest.mark.parametrize("currency", ["CNY", None])
@pytest.mark.parametrize("estimate", [None, cny(1e9)])
def test_without_a_budget_or_a_bill_everything_passes(
    currency: Currency | None, estimate: Cost | None
) -> None:
    limit = None if currency else 0.0
    Ledger().reserve(limit, estimate, currency, "m")
    with Ledger().reserve(limit, estimate, currency, "m"):
        pass


def test_what_is_free_passes_a_budget_that_is_used_up() -> None:
    ledger = Ledger()
    ledger.add(replace(CENTS, cost=cny(6.0)))
    ledger.reserve(5.0, cny(0.0), "CNY", "glm-4.7-flash")
    Ledger().reserve(0.0, cny(0.0), "CNY", "glm-4.7-flash")


def test_a_budget_may_be_used_to_its_last_cent() -> None:
    ledger = Ledger()
    ledger.add(replace(CENTS, cost=cny(0.1)))
    ledger.reserve(0.3, cny(0.2), "CNY", "m")  # 0.1 + 0.2 > 0.3 as floats


def test_a_budget_is_of_one_currency() -> None:
    ledger = Ledger()
    ledger.add(replace(CENTS, cost=cny(100.0)))
    ledger.reserve(5.0, Cost(1.0, "USD", "2026-09"), "USD", "m")


def test_requests_at_the_same_time_do_not_pass_the_budget_together() -> None:
    ledger = Ledger()
    with ledger.reserve(1.0, cny(0.6), "CNY", "m"):
        with pytest.raises(SettingsError, match=r"¥0.00 spent, ¥0.60 in flight, this request is"):
            ledger.reserve(1.0, cny(0.6), "CNY", "m")
        ledger.reserve(1.0, cny(0.4), "CNY", "m")
    ledger.reserve(1.0, cny(0.6), "CNY", "m")


def test_of_many_threads_only_so_many_get_a_place_in_the_budget() -> None:
    ledger, held, refused = Ledger(), [], []

    def work() -> None:
        try:
            held.append(ledger.reserve(1.0, cny(0.1), "CNY", "m"))
        except SettingsError:
            refused.append(1)

    threads = [threading.Thread(target=work) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(held), len(refused)) == (10, 30)


def test_what_a_request_took_stands_in_place_of_its_estimate() -> None:
    ledger = Ledger()
    with ledger.reserve(1.0, cny(0.6), "CNY", "m") as reservation:
        assert ledger.budget(1.0, "CNY") == Budget(1.0, "CNY", 0.0, 0.6)
        reservation.settle(CENTS)
        assert ledger.budget(1.0, "CNY") == Budget(1.0, "CNY", 0.022, 0.0)
    assert sum(row.requests for row in ledger.rows()) == 1


def test_a_reservation_ends_with_an_error_too() -> None:
    ledger = Ledger()
    with pytest.raises(KeyboardInterrupt), ledger.reserve(1.0, cny(0.6), "CNY", "m"):
        raise KeyboardInterrupt
    assert ledger.budget(1.0, "CNY") == Budget(1.0, "CNY", 0.0, 0.0)


def test_a_reservation_that_was_dropped_holds_nothing() -> None:
    ledger = Ledger()
    ledger.reserve(1.0, cny(0.6), "CNY", "m")
    gc.collect()
    ledger.reserve(1.0, cny(0.6), "CNY", "m")


def test_what_is_left_of_a_budget_is_never_less_than_nothing() -> None:
    assert Budget(5.0, "CNY", 4.0, 0.75).left == 0.25
    assert Budget(5.0, "CNY", 6.0).left == 0
    assert Budget(0.3, "CNY", 0.1 + 0.1, 0.1).left == 0
