"""What is on disk: ledger, parts, partitions, manifests."""
