"""Everything that exists only for the deployed PHP, its pages and its event stream."""
