"""The HTTP face of erfscope: endpoints, problems, events, pictures and the page, over the job ledger."""
