import pytest

from shop.basket import Basket
from shop.catalogue import page, page_count, search

ITEMS = [f"product {n}" for n in range(1, 26)]


def test_first_page():
    assert page(ITEMS, 1) == ITEMS[:10]


def test_last_page():
    assert page(ITEMS, 3) == ITEMS[20:]


def test_page_starts_at_one():
    with pytest.raises(ValueError):
        page(ITEMS, 0)


def test_page_count():
    assert page_count(ITEMS) == 3


def test_search_ignores_case():
    assert search(ITEMS, "PRODUCT 25") == ["product 25"]


def test_basket():
    basket = Basket()
    basket.add("tea", 350, 2)
    basket.add("tea", 350)
    assert basket.total() == 1050
    assert basket.discounted(10) == 945
