"""Networks: modules from tensors to tensors, without files and meshes."""
