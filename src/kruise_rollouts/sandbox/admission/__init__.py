"""What is asked before an object is stored: plug-ins, webhooks, policies, quota."""
