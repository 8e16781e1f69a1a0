"""Taking files away, so that it can be looked at before and undone after."""
