"""What the task file calls: set-up, the gate, the locks. Standard library only; nothing here is part of the product."""
