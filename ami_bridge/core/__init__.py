"""The pure core: standard library only, no asyncio, no clock, no logging. Time comes from events."""
