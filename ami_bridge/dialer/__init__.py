"""The dialer: rings back as promised, agent first, at most once per attempt."""
