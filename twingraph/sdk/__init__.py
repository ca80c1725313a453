"""What authors import: components, workflows, registry. Declares; runs nothing but through `inprocess`."""
