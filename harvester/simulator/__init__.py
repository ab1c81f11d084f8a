"""A Zoho to practise on, read from the API's documentation alone; it imports nothing of the harvester's own reading."""
