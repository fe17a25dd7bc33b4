"""The functions that the workflows beside this file call, each by its own handler: `shop.price` and so on."""

import json

PRICES = {"book": 12, "pen": 2, "lamp": 40}


class OutOfStock(Exception):
    pass


class CardDeclined(Exception):
    pass


def price(event, context):
    """{"items": [{"name", "count"}]} -> {"total"}"""
    return {"total": sum(PRICES[item["name"]] * item["count"] for item in event["items"])}


def reserve(event, context):
    """{"items"} -> {"reservation"}"""
    if any(item["name"] not in PRICES for item in event["items"]):
        raise OutOfStock("nothing of the kind is left")
    return {"reservation": f"r-{len(event['items'])}"}


def charge(event, context):
    """{"total", "card"} -> {"receipt"}"""
    if event.get("card") == "stolen":
        raise CardDeclined("the bank says no")
    return {"receipt": f"paid {event['total']}"}


def release(event, context):
    """{"reservation"} -> {"released"}"""
    return {"released": event["reservation"]}


def ship(event, context):
    """{"items"} -> {"parcel"}"""
    return {"parcel": f"{sum(item['count'] for item in event['items'])} things"}


def unreliable(event, context):
    """{"attempt", "works_at"}: fails until attempt number works_at."""
    if event["attempt"] < event["works_at"]:
        raise ConnectionError(f"attempt {event['attempt']} failed")
    return {"attempts": event["attempt"] + 1}


def count_sales(event, context):
    """{"Items": rows of a CSV file} -> {"sold": {product: count}}"""
    sold = {}
    for row in event["Items"]:
        sold[row["product"]] = sold.get(row["product"], 0) + int(row["count"])
    return {"sold": sold}


def add_up(event, context):
    """[{"sold"}] -> {product: count} of all of them"""
    total = {}
    for part in event["parts"]:
        for product, count in part["sold"].items():
            total[product] = total.get(product, 0) + count
    print(json.dumps(total))
    return total
