"""What authors import: components, workflows, registry. Declares and describes; runs nothing but through `inprocess`."""
