"""What pages share: page setup, the selection in the URL, error boxes, job panels, canvas components."""
