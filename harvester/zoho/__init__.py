"""All that knows Zoho: its hosts, tokens, envelopes, rows and campaigns."""
