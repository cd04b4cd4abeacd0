"""The surroundings of a bot, whole: for people (`forge sandbox`), for the demo, and for tests."""

from sandbox.world.acting import Actors
from sandbox.world.bot_process import BotEnded, BotProcess
from sandbox.world.command import main
from sandbox.world.controls import Controls
from sandbox.world.product import Product
from sandbox.world.tempo import RUNBOOK, Tempo, short
from sandbox.world.world import World

__all__ = [
    "RUNBOOK",
    "Actors",
    "BotEnded",
    "BotProcess",
    "Controls",
    "Product",
    "Tempo",
    "World",
    "main",
    "short",
]
