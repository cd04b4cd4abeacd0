"""The controllers: loops that bring what is nearer to what was asked for, one object at a time."""
