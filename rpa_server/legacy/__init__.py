"""Everything that exists only for the deployed system: the addresses of its PHP, which its pages read."""
