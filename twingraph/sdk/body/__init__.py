"""Running the bodies of pipelines: what a call of a component means there, what a handle is, how a body is replayed.

Knows `core` and the rest of the SDK. How a body's events reach a conductor is the business of a `Link`
(`core/bodies`); nothing here knows journals, dispatch or processes.
"""
