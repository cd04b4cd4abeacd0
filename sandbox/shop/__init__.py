"""A little shop with real HTTP traffic, to release versions of."""

from sandbox.shop.ordering import OrderLost
from sandbox.shop.shop import Shop
from sandbox.shop.spoiling import Spoil
from sandbox.shop.traffic import Traffic

__all__ = ["OrderLost", "Shop", "Spoil", "Traffic"]
