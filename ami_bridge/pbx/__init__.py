"""The private PBX: an Asterisk of our own, found or built, started, asked and stopped."""
