"""What a component is made of: cut out of its modules, hashed, and packed for any Python from 3.8 on.

Here lives the reading of source: selection, rewriting, hash. Loading what was packed lives in
`twingraph.executors.slice_loader`, which needs neither this package nor any other.
"""

from twingraph.sdk.slicing.bundling import bundle
from twingraph.sdk.slicing.records import Slice, SliceModule
from twingraph.sdk.slicing.slicing import slice_of

__all__ = ["Slice", "SliceModule", "bundle", "slice_of"]
