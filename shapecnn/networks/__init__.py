"""Networks from tensors to tensors: they know no file and no mesh."""
