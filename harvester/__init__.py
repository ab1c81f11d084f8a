"""harvester: every recipient of every Zoho Campaigns campaign, within the API's budget."""

__version__ = "0.1.0"
