"""Programs that the checks start: clients in processes of their own."""
